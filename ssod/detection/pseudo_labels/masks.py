"""Masks in the frames of their boxes, seen from another view: no mask of a whole image is made to teach from one."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .structure import PseudoLabels


def sample_masks(masks: Tensor, boxes: Tensor, matrices: Tensor, windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Values of m masks at the cells of m windows, which may lie in another view: turned and sheared exactly.

    Each cell's center goes back through the matrix to the mask; the mask is interpolated there, and 0 outside its box.

    Args:
        masks: (m, S, S), probabilities, each over its own box.
        boxes: (m, 4), theirs, xyxy in pixels of the source view.
        matrices: (m, 3, 3), source view -> view of the windows.
        windows: (m, 4), xyxy in pixels of their view.
        size: (h, w), cells of a window.

    Returns:
        (m, h, w).
    """
    (height, width), count = size, len(windows)
    x, y = (
        low + (torch.arange(cells, device=masks.device) + 0.5) / cells * (high - low)
        for low, high, cells in (
            (windows[:, 0:1], windows[:, 2:3], width),
            (windows[:, 1:2], windows[:, 3:4], height),
        )
    )
    x, y = x[:, None].expand(-1, height, -1), y[..., None].expand(-1, -1, width)
    centers = torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(1, 2)
    inverse = torch.linalg.inv_ex(matrices).inverse  # inv would wait for the device
    points = centers @ inverse.transpose(1, 2)
    points = points[..., :2] / points[..., 2:]
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    grid = ((points - low) / (high - low).clamp(min=1e-6) * 2 - 1).view(count, height, width, 2)
    return F.grid_sample(masks[:, None], grid, mode='bilinear', padding_mode='zeros', align_corners=False)[:, 0]


def paste_masks(labels: PseudoLabels, img_shape: tuple) -> Tensor:
    """The masks of n labels as (n, h, w) bool over their present view, for pictures.

    Args:
        labels: with masks.
        img_shape: (h, w, ...) of the view, in pixels.
    """
    height, width = img_shape[:2]
    windows = labels.bboxes.new_tensor([0, 0, width, height]).expand(len(labels), 4)
    return sample_masks(labels.masks, labels.mask_boxes, labels.mask_matrices, windows, (height, width)) >= 0.5


def mask_scores(masks: Tensor) -> Tensor:
    """(n,) how sure the teacher is of n masks (n, S, S): the mean probability over the pixels above 0.5, or 0."""
    inside = masks > 0.5
    return (masks * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)
