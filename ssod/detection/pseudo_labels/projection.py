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
    matrices = view_to_view(source_metas, target_metas, bboxes[0].device)
    return [
        project_boxes(boxes, matrix, meta['img_shape'])
        for boxes, matrix, meta in zip(bboxes, matrices, target_metas, strict=True)
    ]
