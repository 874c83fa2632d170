"""An image too large to be looked at as a whole: which tiles of it are."""

import math
from typing import NamedTuple

from .errors import InputError

OVERLAP = 0.2
MOST = 0.9  # overlap: ten times as many tiles in each direction


class Window(NamedTuple):
    """A part of an image, in its pixels; right and bottom are outside."""

    x1: int
    y1: int
    x2: int
    y2: int


def check_tiles(tile: int | None, overlap: float) -> None:
    """Refuse a size or an overlap that makes no tiles.

    Raises:
        InputError: it is one.
    """
    if tile is not None and tile < 1:
        raise InputError(f'a tile is 1 pixel or more, got {tile}')
    if not 0 <= overlap <= MOST:
        raise InputError(f'the overlap of tiles is a share from 0 to {MOST} of their side, got {overlap}')


def windows(size: tuple[int, int], tile: int | None, overlap: float = OVERLAP) -> list[Window]:
    """The tiles of an image, row by row: all of one size, and evenly spread.

    Args:
        size: (height, width) of the image.
        tile: side in pixels; where the image is smaller, its own side; None: the image is one tile.
        overlap: least share of its side that a tile has in common with the next one.

    Examples:
        >>> [(window.x1, window.x2) for window in windows((64, 100), 64, 0.25)]
        [(0, 64), (36, 100)]
    """
    height, width = size
    tall, wide = min(tile or height, height), min(tile or width, width)
    return [
        Window(x, y, x + wide, y + tall) for y in starts(height, tall, overlap) for x in starts(width, wide, overlap)
    ]


def starts(length: int, side: int, overlap: float) -> list[int]:
    """Where the tiles of a side begin that cover a length."""
    step = max(side - math.ceil(side * overlap - 1e-6), 1)
    steps = math.ceil((length - side) / step)
    return [(length - side) * place // steps for place in range(steps + 1)] if steps else [0]
