"""Boxes of several images in one tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor


def image_of(rows: Sequence[Tensor]) -> Tensor:
    """(n,) int64: the image of each of the n rows of B tensors, one after another."""
    device, sizes = rows[0].device, [len(own) for own in rows]
    if len(rows) == 1:
        return torch.zeros(sizes[0], dtype=torch.int64, device=device)
    images = torch.arange(len(rows), device=device)
    return images.repeat_interleave(torch.tensor(sizes, device=device), output_size=sum(sizes))


def rois_of(bboxes: Sequence[Tensor]) -> Tensor:
    """B tensors (n_i, 4) or wider, xyxy -> (n, 5): image index, then xyxy; as MMDetection's ``bbox2roi``."""
    boxes = torch.cat(list(bboxes))[:, :4]
    return torch.cat([image_of(bboxes)[:, None].to(boxes), boxes], dim=1)
