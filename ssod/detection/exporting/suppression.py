"""Non-maximum suppression as a part of a graph: one operator in ONNX, torchvision's kernel in TorchScript."""

from typing import Any

import torch
import torchvision
from torch import Tensor

from ssod.core.errors import InputError


def check_nms(nms: dict, what: str) -> None:
    """Refuse suppression that ONNX has no operator for.

    Raises:
        InputError: it is soft-NMS, say.
    """
    kind = nms.get('type', 'nms')
    if kind != 'nms':
        raise InputError(f'{what} suppresses boxes by {kind}, which cannot be exported: set type of its nms to nms')


def keep_best(boxes: Tensor, scores: Tensor, groups: Tensor, nms: dict, limit: int, script: bool) -> Tensor:
    """Indices of the boxes that stay, best first. Boxes of different groups do not suppress each other.

    Each group is moved to a place of its own, as in mmcv's ``batched_nms``.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,); boxes with a score of 0 are dropped.
        groups: (N,) int64, classes or levels.
        nms: the detector's setting, with ``iou_threshold``.
        limit: how many may stay.
        script: for TorchScript, else for ONNX.

    Returns:
        (K,) int64.
    """
    if not nms.get('class_agnostic', False):
        candidates = torch.where(scores[:, None] > 0, boxes, torch.zeros_like(boxes))
        boxes = boxes + (groups.to(boxes) * (candidates.max() + 1))[:, None]
    if script:
        return suppress(boxes, scores, limit, nms['iou_threshold'])
    limits = torch.tensor([limit]), torch.tensor([nms['iou_threshold']]), torch.tensor([0.0])
    return Suppression.apply(boxes[None], scores[None, None], *limits)[:, 2]


def suppress(boxes: Tensor, scores: Tensor, limit: int, iou_threshold: float) -> Tensor:
    """Indices (K,) of boxes (N, 4) with scores (N,) above 0 that no better box overlaps, best first."""
    candidates = (scores > 0).nonzero()[:, 0]
    return candidates[torchvision.ops.nms(boxes[candidates], scores[candidates], iou_threshold)[:limit]]


class Suppression(torch.autograd.Function):
    """:func:`suppress` with the arguments of ONNX's ``NonMaxSuppression``, which it becomes in a file."""

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, limit: Tensor, iou: Tensor, score_thr: Tensor) -> Tensor:
        """Rows (0, 0, index), best first, (K, 3), of boxes (1, N, 4) with scores (1, 1, N)."""
        index = suppress(boxes[0], scores[0, 0], int(limit), float(iou))
        return torch.stack([torch.zeros_like(index), torch.zeros_like(index), index], dim=1)

    @staticmethod
    def symbolic(g: Any, *args: Any) -> Any:
        """The operator."""
        return g.op('NonMaxSuppression', *args, outputs=1)
