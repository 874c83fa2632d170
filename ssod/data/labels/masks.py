"""Masks as run lengths and polygons of the programs that people label with."""

from collections.abc import Sequence

import cv2
import numpy as np
from pycocotools import mask as rle

WORD = 8  # bits of a value in Label Studio's code
LENGTH_BITS = (3, 4, 8, 16)  # bits that the length of a run may take there


def encode(mask: np.ndarray) -> dict:
    """An (h, w) mask as COCO's compressed run lengths, as JSON takes them."""
    code = rle.encode(np.asfortranarray(mask, np.uint8))
    return dict(size=list(map(int, code['size'])), counts=code['counts'].decode())


def decode(code: dict) -> np.ndarray:
    """(h, w) bool of COCO's run lengths."""
    return rle.decode(code).astype(bool)


def as_code(segmentation: list | dict, width: int, height: int) -> dict:
    """COCO's ``segmentation``, polygons or run lengths, as compressed run lengths."""
    if isinstance(segmentation, list):
        code = rle.merge(rle.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation['counts'], list):
        code = rle.frPyObjects(segmentation, height, width)
    else:
        code = dict(segmentation)
    counts = code['counts']
    return dict(size=list(map(int, code['size'])), counts=counts.decode() if isinstance(counts, bytes) else counts)


def box_around(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the pixels of an (h, w) mask; zeros of an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """The outlines of an (h, w) mask's parts and holes, each (n, 2) x, y along the corners of its pixels."""
    corners = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.uint8)
    for down in (0, 1):  # a corner belongs to the mask if one of its four pixels does
        for right in (0, 1):
            corners[down : down + mask.shape[0], right : right + mask.shape[1]] |= mask.astype(np.uint8)
    found, _ = cv2.findContours(corners, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [points[:, 0].astype(float) for points in found if len(points) > 2]


def one_polygon(mask: np.ndarray) -> np.ndarray:
    """A mask's outlines as one polygon (n, 2): from part to part and to holes, and back, along lines without area."""
    parts = outlines(mask)
    if not parts:
        return np.zeros((0, 2))
    closed = [np.vstack([part, part[:1]]) for part in parts]
    back = [part[:1] for part in parts[-2::-1]]
    return closed[0][:-1] if len(parts) == 1 else np.vstack([*closed, *back])


def fill(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool of polygons, each (n, 2) x, y in pixels of an image of (width, height)."""
    width, height = size
    total = np.zeros((height, width), bool)
    for points in polygons:
        if len(points) >= 3:
            total |= decode(rle.frPyObjects([np.asarray(points, float).reshape(-1).tolist()], height, width)[0])
    return total


def alternating(values: np.ndarray) -> list[int]:
    """Lengths of the runs of a flat bool array: of False first, which may be 0, then of True, and so on."""
    values = values.astype(np.int8)
    ends = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff([0, *ends, len(values)]).tolist()
    return [0, *lengths] if len(values) and values[0] else lengths


def from_alternating(lengths: Sequence[int], count: int) -> np.ndarray | None:
    """(count,) bool of :func:`alternating`; None if the lengths make another number."""
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return values if len(values) == count else None


def to_brush(mask: np.ndarray) -> list[int]:
    """An (h, w) mask as Label Studio's ``rle``: bytes of its code for an RGBA picture that is 255 in the mask.

    The code is that of the package rle-pack: 32 bits the number of values, 5 bits the bits of a value less 1, four
    times 4 bits the bits of a length less 1; then runs, each a bit 1, two bits which of the four, the length less 1,
    and the value.
    """
    flat = mask.reshape(-1)
    bits = [f'{4 * len(flat):032b}', f'{WORD - 1:05b}', *(f'{size - 1:04b}' for size in LENGTH_BITS)]
    for place, pixels in enumerate(alternating(flat)):
        left = 4 * pixels
        while left > 0:
            run = min(left, 2 ** LENGTH_BITS[-1])
            which = next(i for i, size in enumerate(LENGTH_BITS) if run <= 2**size)
            bits.append(f'1{which:02b}{run - 1:0{LENGTH_BITS[which]}b}{255 * (place % 2):08b}')
            left -= run
    text = ''.join(bits)
    text += '0' * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def from_brush(code: Sequence[int], size: tuple[int, int]) -> np.ndarray | None:
    """(h, w) bool of Label Studio's ``rle`` for an image of (width, height); None if it is of another size.

    A pixel counts from half of full opacity on.
    """
    bits = ''.join(f'{byte:08b}' for byte in code)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    if total != 4 * size[0] * size[1]:
        return None
    values = np.zeros(total, np.int64)
    at = 0
    while at < total:
        repeated = read(1)
        end = at + read(lengths[read(2)]) + 1
        values[at:end] = read(word) if repeated else [read(word) for _ in range(end - at)]
        at = end
    return values.reshape(size[1], size[0], 4)[..., 3] >= 128
