"""The RoIs that a second stage learns from, of all images at once: sampled, and with their targets."""

from collections.abc import Sequence

import torch
from mmdet.core.bbox.assigners import BaseAssigner
from mmdet.core.bbox.samplers import BaseSampler, SamplingResult
from mmdet.models.roi_heads import BBoxHead
from torch import Tensor, nn

from .batched_assignment import assign, padded, sample


class ImageSamples(SamplingResult):
    """MMDetection's result of one image, whose tensors are views of the batch's."""

    def __init__(self, values: dict[str, Tensor], num_gts: int, num_pos: int) -> None:
        for name in ('inds', 'bboxes'):
            setattr(self, f'pos_{name}', values[name][:num_pos])
            setattr(self, f'neg_{name}', values[name][num_pos:])
        self.pos_is_gt = values['is_gt'][:num_pos]
        self.pos_assigned_gt_inds = values['which'][:num_pos]
        self.pos_gt_bboxes = values['objects'][:num_pos]
        self.pos_gt_labels = values['labels'][:num_pos]
        self.num_gts = num_gts
        self._all = values['bboxes']

    @property
    def bboxes(self) -> Tensor:
        """(n, 4): positives, then negatives."""
        return self._all


class BatchSamples(list):
    """The :class:`ImageSamples` of B images, and the n RoIs of all, image after image, positives first in each.

    Attributes:
        rois: (n, 5), image index, then xyxy in pixels.
        positive: (n,) bool.
        positives: (m,) int64, which rows are positives.
        objects, labels: (n, 4) and (n,) of the object that a positive shows; of a negative they mean nothing.
    """

    def __init__(self, values: dict[str, Tensor], rois: Tensor, num_gts: Sequence[int], counts: list) -> None:
        sizes = [taken for _, taken in counts]
        split = {name: value.split(sizes) for name, value in values.items()}
        super().__init__(
            ImageSamples({name: parts[i] for name, parts in split.items()}, num_gts[i], counts[i][0])
            for i in range(len(counts))
        )
        self.rois, self.positive = rois, values['positive']
        self.objects, self.labels = values['objects'], values['labels']
        rows = torch.arange(len(rois), device=rois.device).split(sizes)
        self.positives = torch.cat([own[:positive] for own, (positive, _) in zip(rows, counts, strict=True)])

    def targets(self, head: BBoxHead, cfg: dict) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As MMDetection's ``BBoxHead.get_targets``: labels, their weights, box targets and their weights."""
        labels = torch.where(self.positive, self.labels, head.num_classes)
        weights = torch.ones_like(self.rois[:, 0])
        if cfg.pos_weight > 0:
            weights = torch.where(self.positive, cfg.pos_weight, weights)
        boxes = self.objects if head.reg_decoded_bbox else head.bbox_coder.encode(self.rois[:, 1:], self.objects)
        positive = self.positive[:, None]
        return labels, weights, boxes.where(positive, 0), positive.to(boxes).expand(-1, 4)

    def positive_targets(self, head: BBoxHead) -> Tensor:
        """(m, 4): the box targets of the positives."""
        objects = self.objects[self.positives]
        return objects if head.reg_decoded_bbox else head.bbox_coder.encode(self.rois[self.positives, 1:], objects)


def is_plain(head: nn.Module) -> bool:
    """Whether a box head has MMDetection's own targets and losses, over plain scores."""
    kind = type(head)
    plain = kind.get_targets is BBoxHead.get_targets and kind._get_target_single is BBoxHead._get_target_single
    return plain and kind.loss is BBoxHead.loss and not head.custom_cls_channels and not head.custom_activation


def deltas_of(deltas: Tensor, labels: Tensor, head: BBoxHead) -> Tensor:
    """(m, 4): of (m, 4 * num_classes) or (m, 4) deltas those of the RoIs' own classes."""
    if head.reg_class_agnostic:
        return deltas
    return deltas.unflatten(1, (head.num_classes, 4))[torch.arange(len(deltas), device=deltas.device), labels]


@torch.no_grad()
def sample_rois(
    assigner: BaseAssigner,
    sampler: BaseSampler,
    proposals: Sequence[Tensor],
    gt_bboxes: Sequence[Tensor],
    gt_labels: Sequence[Tensor],
    ignored: Sequence[Tensor] | None = None,
) -> BatchSamples:
    """What an assigner and a sampler of MMDetection choose for each image.

    The host waits for the device once: for the numbers of samples.

    Args:
        assigner, sampler: such as :mod:`ssod.accel.batched_assignment` knows.
        proposals: B tensors (n_i, 4) or wider, xyxy in pixels.
        gt_bboxes, gt_labels: of each image.
        ignored: boxes of each image that say nothing, or None.
    """
    candidates, objects = padded([boxes[:, :4] for boxes in proposals]), padded(gt_bboxes)
    boxes = candidates.rows
    which = assign(assigner, boxes, candidates.own, objects, ignored)
    added = objects.rows.shape[1] if sampler.add_gt_as_proposals else 0
    if added:
        numbers = torch.arange(1, added + 1, device=boxes.device)
        which = torch.cat([torch.where(objects.own, numbers, -1), which], dim=1)
        boxes = torch.cat([objects.rows, boxes], dim=1)
    found = sample(sampler, which)
    counts = torch.stack([found.positive.sum(dim=1), found.taken.sum(dim=1)], dim=1).tolist()
    image = torch.arange(len(boxes), device=boxes.device)[:, None].expand_as(found.index)
    image, inds, positive = (own_rows(value, counts) for value in (image, found.index, found.positive))
    which = (which[image, inds] - 1).clamp(min=0)
    own, is_gt = boxes[image, inds], inds < added
    if added and any(size < added for size in objects.sizes):  # MMDetection's rows have no padding
        absent = torch.tensor([added - size for size in objects.sizes], device=boxes.device)
        inds = inds - absent[image] * ~is_gt
    values = dict(
        bboxes=own,
        inds=inds,
        positive=positive,
        which=which,
        is_gt=is_gt.to(torch.uint8),
        objects=objects.rows[image, which],
        labels=padded(gt_labels).rows[image, which],
    )
    return BatchSamples(values, torch.cat([image[:, None].to(own), own], dim=1), objects.sizes, counts)


def own_rows(values: Tensor, counts: list[list[int]]) -> Tensor:
    """Of (B, S) values the first ``counts[i][1]`` of each image, (n,)."""
    if all(taken == values.shape[1] for _, taken in counts):
        return values.flatten()
    return torch.cat([own[:taken] for own, (_, taken) in zip(values, counts, strict=True)])
