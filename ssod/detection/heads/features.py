"""What a RoI head looks at."""

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """The feature maps of B images.

    Attributes:
        levels: (B, C, H, W) of each level.
        semantic: (B, C', H', W') of the semantic head of a Hybrid Task Cascade; None of other heads.
    """

    levels: tuple[Tensor, ...]
    semantic: Tensor | None = None

    def of_image(self, index: int) -> 'Features':
        """Those of one image of the batch, (1, C, H, W) each."""
        one = slice(index, index + 1)
        return Features(
            tuple(level[one] for level in self.levels), None if self.semantic is None else self.semantic[one]
        )
