"""What training really sees, for people to look at."""

from .browse import browse

__all__ = ['browse']
