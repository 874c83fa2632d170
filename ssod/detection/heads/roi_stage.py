"""One stage of a RoI head: what Soft Teacher asks of it, whichever head it is."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.core.bbox.assigners import BaseAssigner
from mmdet.core.bbox.samplers import BaseSampler, SamplingResult
from torch import Tensor, nn

from ssod.accel import BatchedRoIHead, deltas_of, sample_rois
from ssod.core.hardware import launch_bound

from ..pseudo_labels import PseudoLabels
from .box_losses import BoxLosses
from .features import Features
from .mask_losses import MaskLosses
from .rois import rois_of


class RoIOutputs(NamedTuple):
    """Raw outputs of a box head for n RoIs, in float32.

    Attributes:
        logits: (n, num_classes + 1), background last.
        deltas: (n, 4 * num_classes), or (n, 4) of a class-agnostic head.
    """

    logits: Tensor
    deltas: Tensor

    def split(self, size: int) -> 'tuple[RoIOutputs, RoIOutputs]':
        """Those of the first ``size`` RoIs, and those of the rest."""
        return RoIOutputs(*(value[:size] for value in self)), RoIOutputs(*(value[size:] for value in self))


class RoIStage(BoxLosses, MaskLosses):
    """One refinement of a RoI head, as functions of boxes: here the only one of a ``StandardRoIHead``.

    Args:
        detector: two-stage detector of MMDetection; :func:`ssod.detection.heads.refuse_unfit` says which.

    Attributes:
        bbox_head: its box head.
        mask_head: its mask head, or None.
        interleaved: masks learn from boxes that this stage has refined.
        weight: of its losses.
        prefix: of their names.
    """

    weight: float = 1.0
    prefix: str = ''
    interleaved: bool = False

    def __init__(self, detector: nn.Module) -> None:
        self.roi_head = detector.roi_head
        self.bbox_head = detector.roi_head.bbox_head
        self.mask_head = detector.roi_head.mask_head if detector.roi_head.with_mask else None
        self.train_cfg = (detector.train_cfg or {}).get('rcnn')

    @property
    def assigner(self) -> BaseAssigner:
        """What tells which proposal shows which box."""
        return self.roi_head.bbox_assigner

    @property
    def sampler(self) -> BaseSampler:
        """What chooses the proposals that are learned from."""
        return self.roi_head.bbox_sampler

    def forward(self, features: Features, rois: Tensor) -> RoIOutputs:
        """Class logits and box deltas of RoIs.

        Args:
            features: of B images.
            rois: (n, 5): image index, then xyxy in pixels of the batch's images.
        """
        results = self._bbox_forward(features, rois)
        return RoIOutputs(results['cls_score'].float(), results['bbox_pred'].float())

    def _bbox_forward(self, features: Features, rois: Tensor) -> dict[str, Tensor]:
        return self.roi_head._bbox_forward(features.levels, rois)

    def mask_logits(self, features: Features, rois: Tensor) -> Tensor:
        """Mask logits (n, num_classes, S, S) of RoIs (n, 5), or (n, 1, S, S) of a class-agnostic head; float32."""
        return self._mask_forward(features, rois).float()

    def _mask_forward(self, features: Features, rois: Tensor) -> Tensor:
        return self.roi_head._mask_forward(features.levels, rois)['mask_pred']

    def logits(self, features: Features, bboxes: Sequence[Tensor]) -> list[Tensor]:
        """Class logits of given boxes; on a CPU image by image, for RoI features are the largest tensors of a step.

        Args:
            features: of B images.
            bboxes: B tensors (n_i, 4), xyxy in pixels.

        Returns:
            B tensors (n_i, num_classes + 1).
        """
        sizes = [len(boxes) for boxes in bboxes]
        if launch_bound(features.levels[0].device) and sum(sizes):
            return list(self.forward(features, rois_of(bboxes)).logits.split(sizes))
        logits = []
        for i, boxes in enumerate(bboxes):
            if len(boxes):
                logits.append(self.forward(features.of_image(i), rois_of([boxes])).logits)
            else:
                logits.append(boxes.new_zeros(0, self.bbox_head.num_classes + 1))
        return logits

    def refine(
        self, features: Features, img_metas: list[dict], bboxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> list[Tensor]:
        """Given boxes moved by the regression of their own class.

        Args:
            features: of B images.
            img_metas: their metas; ``img_shape`` bounds the refined boxes, as in MMDetection's decoding.
            bboxes: B tensors (n_i, 4), xyxy in pixels.
            labels: B tensors (n_i,) int64.

        Returns:
            B tensors (n_i, 4), xyxy in pixels.
        """
        rois = rois_of(bboxes)
        if len(rois) == 0:
            return list(bboxes)
        boxes = self.own_boxes(rois, self.forward(features, rois).deltas, torch.cat(list(labels)), img_metas)
        return list(boxes.split([len(own) for own in bboxes]))

    def own_boxes(self, rois: Tensor, deltas: Tensor, labels: Tensor, img_metas: list[dict]) -> Tensor:
        """(n, 4): RoIs (n, 5) moved by the deltas of their classes (n,), clipped to their images."""
        own = deltas_of(deltas, labels, self.bbox_head)
        boxes = self.bbox_head.bbox_coder.decode(rois[:, 1:], own)
        limits = rois.new_tensor([(meta['img_shape'][1], meta['img_shape'][0]) * 2 for meta in img_metas])
        return torch.minimum(boxes.clamp(min=0), limits[rois[:, 0].long()])

    def decode(self, rois: Tensor, outputs: RoIOutputs, img_meta: dict) -> tuple[Tensor, Tensor]:
        """Boxes (n, 4 * num_classes), clipped to the image, and scores (n, num_classes + 1) of one image's RoIs."""
        return self.bbox_head.get_bboxes(rois, *outputs, img_meta['img_shape'], None, rescale=False, cfg=None)

    def sample(self, features: Features, proposals: list[Tensor], labels: list[PseudoLabels]) -> list[SamplingResult]:
        """Assign each image's proposals to its pseudo boxes and sample them, by the detector's own settings."""
        if isinstance(self.roi_head, BatchedRoIHead) and self.roi_head.samples_at_once(features.levels[0].device):
            boxes, classes = [own.bboxes for own in labels], [own.labels for own in labels]
            return sample_rois(self.assigner, self.sampler, proposals, boxes, classes)
        samples = []
        for i, (boxes, pseudo) in enumerate(zip(proposals, labels, strict=True)):
            assigned = self.assigner.assign(boxes, pseudo.bboxes, None, pseudo.labels)
            levels = features.of_image(i).levels
            samples.append(self.sampler.sample(assigned, boxes, pseudo.bboxes, pseudo.labels, feats=levels))
        return samples
