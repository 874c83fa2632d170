"""Non-maximum suppression and the overlap of boxes.

Boxes are (x1, y1, x2, y2) in pixels, (N, 4). ``offset`` 1 counts the last pixel in: a side is x2 - x1 + 1.
"""

import numpy as np
import torch
import torchvision
from torch import Tensor

from .dtypes import to_full_precision


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that no better box overlaps by more than the threshold, best first.

    Equal scores come in the order that ``Tensor.sort`` gives them, as in mmcv. With ``offset`` 1 a coordinate plus 1 is
    rounded, so an overlap within 1e-6 of the threshold can fall on its other side than in the compiled operator.

    Args:
        boxes: (N, 4).
        scores: (N,).
        iou_threshold: boxes that overlap a better one by more are dropped.
        offset: 0 or 1.

    Returns:
        Indices (K,), int64.
    """
    # torchvision sorts stably and mmcv does not; what is sorted already stays as it is.
    scores, order = to_full_precision(scores).sort(descending=True)
    boxes = to_full_precision(boxes)[order]
    if offset:
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], dim=1)
    # mmcv holds the threshold as float32, and 0.7 is another number there: an overlap of exactly 0.7 must stay.
    return order[torchvision.ops.nms(boxes, scores, float(np.float32(iou_threshold)))]


@np.errstate(invalid='ignore', divide='ignore')  # two boxes without area
def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the scores of overlapping boxes instead of dropping them; runs on the CPU, as in mmcv.

    Args:
        boxes: (N, 4).
        scores: (N,).
        dets: (N, 5), output: the first K rows become the boxes that are left and their new scores, best first.
        iou_threshold: overlap from which a box is touched (method 0 and 1).
        sigma: width of the Gaussian (method 2).
        min_score: boxes whose new score is lower are dropped.
        method: 0 drops overlapping boxes, 1 multiplies their score by 1 - IoU, 2 by exp(-IoU^2 / sigma).
        offset: 0 or 1.

    Returns:
        Indices (K,) of the boxes that are left, int64.
    """
    table, indices = _table(boxes, scores, offset), np.arange(len(boxes))
    i = 0
    while i < len(indices):
        best = i + int(table[4, i:].argmax())
        table[:, [i, best]], indices[[i, best]] = table[:, [best, i]], indices[[best, i]]
        rest = table[:, i + 1 :]
        rest[4] *= _decay(_ious(table[:, i], rest, offset), iou_threshold, sigma, method)
        keep = ~(rest[4] < np.float32(min_score))
        if not keep.all():
            order = np.concatenate([np.arange(i + 1), i + 1 + _close_gaps(keep)])
            table, indices = table[:, order], indices[order]
        i += 1
    dets[: len(indices)] = torch.from_numpy(table[:5].T).to(dets)
    return torch.from_numpy(indices)


def _table(boxes: Tensor, scores: Tensor, offset: int) -> np.ndarray:
    """The rows x1, y1, x2, y2, score and area, (6, N), on the CPU and of its own memory."""
    table = to_full_precision(torch.cat([boxes, scores[:, None]], dim=1).detach()).cpu().numpy().T
    areas = (table[2] - table[0] + offset) * (table[3] - table[1] + offset)
    return np.concatenate([table, areas[None]])


def _decay(ious: np.ndarray, iou_threshold: float, sigma: float, method: int) -> np.ndarray:
    """The factors of the scores, for soft-NMS."""
    if method == 2:
        return np.exp(-(ious * ious) / np.float32(sigma))
    overlaps = ious >= np.float32(iou_threshold)
    return np.where(overlaps, 1 - ious if method == 1 else 0, 1).astype(ious.dtype)


def _close_gaps(keep: np.ndarray) -> np.ndarray:
    """Order of the kept places when each gap takes the last place that is left, as in mmcv: it decides equal scores."""
    order = np.arange(np.count_nonzero(keep))
    last = np.flatnonzero(keep)[::-1]
    gaps = np.flatnonzero(~keep[: len(order)])
    order[gaps] = last[: len(gaps)]
    return order


@np.errstate(invalid='ignore', divide='ignore')
def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups of boxes: each kept box, then the boxes that it drops, by falling score.

    Args:
        dets: (N, 5), boxes and scores.
        iou_threshold: a box that overlaps a better one by as much or more joins its group.

    Returns:
        Lists of indices, the group of the best box first.
    """
    left = dets[:, 4].sort(descending=True).indices.cpu().numpy()
    table, groups = _table(dets[:, :4], dets[:, 4], 0), []
    while len(left):
        kept, left = left[0], left[1:]
        joins = _ious(table[:, kept], table[:, left], 0) >= np.float32(iou_threshold)
        groups.append([int(kept), *left[joins].tolist()])
        left = left[~joins]
    return groups


def _ious(box: np.ndarray, boxes: np.ndarray, offset: int) -> np.ndarray:
    """IoU of a column of a ``_table`` with others, (N,); NaN, which is above no threshold, for two without area."""
    width = np.minimum(box[2], boxes[2]) - np.maximum(box[0], boxes[0]) + offset
    height = np.minimum(box[3], boxes[3]) - np.maximum(box[1], boxes[1]) + offset
    inter = np.maximum(width, 0) * np.maximum(height, 0)
    return inter / (box[5] + boxes[5] - inter)


def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int) -> None:
    """Overlaps of two sets of boxes.

    Args:
        bboxes1: (M, 4).
        bboxes2: (N, 4).
        ious: output, (M, N), or (M,) if ``aligned``.
        mode: 0 divides by the union, 1 by the first box's area.
        aligned: compare the boxes pair by pair; then M is N.
        offset: 0 or 1.
    """
    first, second = bboxes1 if aligned else bboxes1[:, None], bboxes2
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2]) + offset
    inter = sides.clamp(min=0).prod(-1)
    area = (first[..., 2:] - first[..., :2] + offset).prod(-1)
    if mode == 0:
        area = area + (second[..., 2:] - second[..., :2] + offset).prod(-1) - inter
    ious.copy_(inter / area)
