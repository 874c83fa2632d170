"""CutMix: a part of one image in another, and the same part of its labels; masks are 1 where the other shows."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def box_masks(
    count: int,
    size: tuple[int, int],
    share: tuple[float, float] = (0.25, 0.5),
    boxes: int = 3,
    rng: Any = np.random,
) -> np.ndarray:
    """Masks of several boxes each, of which an odd number covers a pixel to show the other image.

    Source: Cross Pseudo Supervision (TorchSemiSeg@5e0c29c, mask_gen.py), French et al. (BMVC 2020).

    Args:
        count: of masks.
        size: (H, W).
        share: range of the boxes' area, as if there were one: a share of the image.
        boxes: for a mask.
        rng: has ``uniform``, as numpy's generators.

    Returns:
        (count, 1, H, W) float32 of 0 and 1.
    """
    area = rng.uniform(*share, size=(count, boxes))
    height = np.exp(rng.uniform(0.0, 1.0, size=(count, boxes)) * np.log(area))
    sides = np.stack([height, area / height], axis=2) * np.sqrt(1 / boxes)
    sides = np.round(sides * size)
    first = np.round((np.array(size) - sides) * rng.uniform(0.0, 1.0, size=sides.shape))
    masks = np.ones((count, 1, *size), np.float32)
    for mask, corners in zip(masks, np.concatenate([first, first + sides], axis=2).astype(int), strict=True):
        for top, left, bottom, right in corners:
            mask[0, top:bottom, left:right] = 1 - mask[0, top:bottom, left:right]
    return 1 - masks


def one_box_masks(
    count: int,
    size: tuple[int, int],
    prob: float = 0.5,
    share: tuple[float, float] = (0.02, 0.4),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
) -> np.ndarray:
    """Masks of one box, inside the image, or of none. Source: UniMatch@0324f3d, dataset/transform.py.

    Args:
        count: of masks.
        size: (H, W).
        prob: that a mask has its box.
        share: range of the box's area, a share of the image.
        aspect: range of width over height.

    Returns:
        (count, 1, H, W) float32 of 0 and 1.
    """
    masks = np.zeros((count, 1, *size), np.float32)
    for mask in masks:
        fits = np.random.random() >= prob
        while not fits:  # a box that would stick out is drawn anew
            area, ratio = np.random.uniform(*share) * size[0] * size[1], np.random.uniform(*aspect)
            height, width = int(np.sqrt(area / ratio)), int(np.sqrt(area * ratio))
            top, left = (int(np.random.uniform(0, side)) for side in size)
            fits = top + height <= size[0] and left + width <= size[1]
            if fits:
                mask[0, top : top + height, left : left + width] = 1
    return masks


def mixed(values: Tensor, others: Tensor, masks: Tensor) -> Tensor:
    """Images (N, C, H, W) or labels (N, H, W), with those of ``others`` where the masks (N, 1, H, W) are 1."""
    return torch.where((masks if values.ndim == 4 else masks[:, 0]) > 0, others, values)


def partners(values: Tensor) -> Tensor:
    """For each image of a batch the next one, for the last the first. One alone is its own partner."""
    return values.roll(-1, dims=0)
