"""Which boxes show which object, and which of them are learned from: all images of a batch at once, and no wait."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.core import bbox_overlaps
from mmdet.core.bbox.assigners import BaseAssigner, MaxIoUAssigner
from mmdet.core.bbox.iou_calculators import BboxOverlaps2D
from mmdet.core.bbox.samplers import BaseSampler, RandomSampler
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


class Padded(NamedTuple):
    """Rows of B images in one tensor.

    Attributes:
        rows: (B, n, ...), zeros after an image's own; n is at least 1.
        own: (B, n) bool, which are not padding.
        sizes: how many each image has.
    """

    rows: Tensor
    own: Tensor
    sizes: list[int]


def padded(rows: Sequence[Tensor]) -> Padded:
    """B tensors (n_i, ...) as one."""
    sizes = [len(own) for own in rows]
    together = pad_sequence(list(rows), batch_first=True)
    if not any(sizes):
        together = together.new_zeros(len(rows), 1, *together.shape[2:])
    places = torch.arange(together.shape[1], device=together.device)
    return Padded(together, places < torch.tensor(sizes, device=together.device)[:, None], sizes)


class Sampled(NamedTuple):
    """S of each image's N boxes, positives first, then negatives, then what only fills up.

    Attributes:
        index: (B, S) int64, of the boxes.
        positive, taken: (B, S) bool; what is taken and not positive is a negative.
    """

    index: Tensor
    positive: Tensor
    taken: Tensor


def assigns_at_once(assigner: BaseAssigner) -> bool:
    """Whether :func:`assign` does what an assigner of MMDetection does."""
    if type(assigner) is not MaxIoUAssigner or type(assigner.iou_calculator) is not BboxOverlaps2D:
        return False
    one_by_one = assigner.match_low_quality and not assigner.gt_max_assign_all
    return not one_by_one and assigner.gpu_assign_thr <= 0 and assigner.iou_calculator.dtype is None


def samples_at_once(sampler: BaseSampler) -> bool:
    """Whether :func:`sample` does what a sampler of MMDetection does."""
    return type(sampler) is RandomSampler and int(sampler.num * sampler.pos_fraction) > 0


@torch.no_grad()
def assign(
    assigner: MaxIoUAssigner, boxes: Tensor, own: Tensor | None, objects: Padded, ignored: Sequence[Tensor] | None
) -> Tensor:
    """What ``MaxIoUAssigner`` finds image by image.

    Args:
        assigner: one that :func:`assigns_at_once` knows.
        boxes: (B, N, 4) xyxy in pixels.
        own: (B, N) bool, which of them count; None: all.
        objects: boxes (G, 4) of each image.
        ignored: boxes of each image that say nothing, or None.

    Returns:
        (B, N) int64: the object's index plus 1, 0 for background, -1 for what is not learned from.
    """
    overlaps = bbox_overlaps(objects.rows, boxes)
    out = ~objects.own[..., None]
    if own is not None:
        out = out | ~own[:, None]
    if ignored is not None and any(map(len, ignored)) and assigner.ignore_iof_thr > 0:
        out = out | (covered(assigner, boxes, padded(ignored).rows) > assigner.ignore_iof_thr)[:, None]
    overlaps = overlaps.masked_fill(out, -1)
    best, which = overlaps.max(dim=1)
    low, high = (0.0, assigner.neg_iou_thr) if isinstance(assigner.neg_iou_thr, float) else assigner.neg_iou_thr
    found = torch.where((best >= low) & (best < high), 0, -1)
    found = torch.where(best >= assigner.pos_iou_thr, which + 1, found)
    if assigner.match_low_quality:
        nearest = overlaps.amax(dim=2, keepdim=True)
        close = (overlaps == nearest) & (nearest >= assigner.min_pos_iou)
        numbers = torch.arange(1, overlaps.shape[1] + 1, device=boxes.device)
        last = (close * numbers[:, None]).amax(dim=1)  # of several objects the last one takes the box
        found = torch.where(last > 0, last, found)
    if 0 in objects.sizes:
        found = found * objects.own.any(dim=1, keepdim=True)
    return found if own is None else found.masked_fill(~own, -1)


def covered(assigner: MaxIoUAssigner, boxes: Tensor, ignored: Tensor) -> Tensor:
    """(B, N): the largest share of a box that lies in an ignored one, or the other way round."""
    if assigner.ignore_wrt_candidates:
        return bbox_overlaps(boxes, ignored, mode='iof').amax(dim=2)
    return bbox_overlaps(ignored, boxes, mode='iof').amax(dim=1)


@torch.no_grad()
def sample(sampler: RandomSampler, assigned: Tensor) -> Sampled:
    """As many positives and negatives of each image as ``RandomSampler`` takes, all alike likely.

    That one permutes the positives, then the negatives of an image, so it waits for their numbers. Here every box
    draws a number, once from torch's default generator of the device, and the largest are taken.

    Args:
        sampler: one that :func:`samples_at_once` knows.
        assigned: (B, N) of :func:`assign`.
    """
    count = assigned.shape[1]
    draw, positive = torch.rand(assigned.shape, device=assigned.device), assigned > 0
    most = min(int(sampler.num * sampler.pos_fraction), count)
    least = draw.where(positive, -1).topk(most, dim=1).values[:, -1:]
    chosen = positive & (draw >= least)
    draw = torch.where(chosen, draw + 2, draw.where(assigned == 0, -1))
    draw, index = draw.topk(min(sampler.num, count), dim=1)
    positive, taken = draw >= 2, draw >= 0
    if sampler.neg_pos_ub >= 0:
        positives = positive.sum(dim=1, keepdim=True)
        most_taken = positives + (sampler.neg_pos_ub * positives.clamp(min=1)).long()
        taken = taken & (torch.arange(index.shape[1], device=index.device) < most_taken)
    return Sampled(index, positive, taken)
