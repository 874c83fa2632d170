"""Boxes from one view of an image to another (Soft Teacher, section 3.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ssod.core import view_to_view


def project_boxes(bboxes: Tensor, matrix: Tensor, img_shape: tuple) -> Tensor:
    """Axis-aligned hull of each box's four projected corners, clipped to the target view.

    Args:
        bboxes: (n, 4) xyxy in pixels of the source view.
        matrix: (3, 3), source view -> target view.
        img_shape: (h, w, ...) of the target view before padding.

    Returns:
        (n, 4) xyxy in pixels of the target view; a box that falls outside comes back with no area.
    """
    x1, y1, x2, y2 = bboxes.unbind(dim=1)  # an index list would be copied to the device, which waits for it
    corners = torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], dim=1).view(-1, 4, 2)
    points = corners @ matrix[:2, :2].T + matrix[:2, 2]
    points = points / (corners @ matrix[2, :2] + matrix[2, 2]).unsqueeze(-1)
    hull = torch.cat([points.amin(dim=1), points.amax(dim=1)], dim=1)
    height, width = img_shape[:2]
    return torch.stack([hull[:, 0::2].clamp(0, width), hull[:, 1::2].clamp(0, height)], dim=-1).flatten(1)


def project_views(bboxes: Sequence[Tensor], source_metas: list[dict], target_metas: list[dict]) -> list[Tensor]:
    """Boxes of B images from one view of each to another: B tensors (n_i, 4), xyxy in pixels, clipped to the target.

    Args:
        bboxes: B tensors (n_i, 4) in the views of ``source_metas``.
        source_metas, target_metas: of the same images in the same order; see :func:`ssod.core.view_to_view`.
    """
    sizes = [len(boxes) for boxes in bboxes]
    matrices = view_to_view(source_metas, target_metas, bboxes[0].device)
    return list(project_all(torch.cat(list(bboxes)), matrices, target_metas, sizes).split(sizes))


def project_all(bboxes: Tensor, matrices: Tensor, target_metas: list[dict], sizes: Sequence[int]) -> Tensor:
    """As :func:`project_boxes`, the boxes of B images at once.

    Args:
        bboxes: (n, 4), image after image.
        matrices: (B, 3, 3).
        target_metas: ``img_shape`` of each target view.
        sizes: how many boxes each image has.
    """
    device = bboxes.device
    shapes = [meta['img_shape'][:2] for meta in target_metas]
    limits = torch.tensor([(width, height) for height, width in shapes], device=device, dtype=bboxes.dtype)
    images = torch.arange(len(sizes), device=device)
    images = images.repeat_interleave(torch.tensor(sizes, device=device), output_size=sum(sizes))
    matrices, limits = matrices[images], limits[images, None]
    x1, y1, x2, y2 = bboxes.unbind(dim=1)
    corners = torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], dim=1).view(-1, 4, 2)
    points = corners @ matrices[:, :2, :2].mT + matrices[:, None, :2, 2]
    points = points / (corners @ matrices[:, 2, :2, None] + matrices[:, 2, 2, None, None])
    hull = torch.stack([points.amin(dim=1), points.amax(dim=1)], dim=1)
    return torch.minimum(hull.clamp(min=0), limits).flatten(1)
