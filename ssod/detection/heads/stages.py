"""A RoI head as the stages that a box goes through, one after another."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from mmdet.core import bbox2roi
from mmdet.models.roi_heads import CascadeRoIHead, HybridTaskCascadeRoIHead
from torch import Tensor, nn

from .cascade import CascadeStage, HybridStage
from .features import Features
from .roi_stage import RoIOutputs, RoIStage


class RoIStages:
    """All stages of a detector's RoI head: one of Faster R-CNN, several of a cascade.

    Args:
        detector: two-stage detector of MMDetection; :func:`ssod.detection.heads.refuse_unfit` says which.
    """

    def __init__(self, detector: nn.Module) -> None:
        self.roi_head = detector.roi_head
        if isinstance(self.roi_head, CascadeRoIHead):
            kind = HybridStage if isinstance(self.roi_head, HybridTaskCascadeRoIHead) else CascadeStage
            self.stages = [kind(detector, index) for index in range(self.roi_head.num_stages)]
        else:
            self.stages = [RoIStage(detector)]

    def __len__(self) -> int:
        return len(self.stages)

    def __iter__(self) -> Iterator[RoIStage]:
        return iter(self.stages)

    def __getitem__(self, index: int) -> RoIStage:
        return self.stages[index]

    def features(self, levels: tuple[Tensor, ...]) -> Features:
        """What the stages look at, from the detector's feature maps (B, C, H, W), one per level."""
        return Features(levels)

    def detect(self, features: Features, boxes: Tensor, img_meta: dict) -> tuple[Tensor, RoIOutputs]:
        """One image's boxes through all stages, each regressed by its likeliest class from one to the next.

        Args:
            features: of the image.
            boxes: (n, 4) or wider, xyxy in pixels; n > 0.
            img_meta: ``img_shape`` bounds the boxes.

        Returns:
            RoIs (n, 5) of the last stage, and its outputs with the mean of all stages' logits.
        """
        rois = bbox2roi([boxes])
        outputs = self[0].forward(features, rois)
        logits = [outputs.logits]
        for before, stage in pairwise(self):
            likeliest = outputs.logits[:, :-1].argmax(dim=1)
            rois = before.bbox_head.regress_by_class(rois, likeliest, outputs.deltas, img_meta)
            outputs = stage.forward(features, rois)
            logits.append(outputs.logits)
        return rois, RoIOutputs(torch.stack(logits).mean(dim=0), outputs.deltas)

    def logits(self, features: Features, img_metas: list[dict], bboxes: Sequence[Tensor]) -> list[Tensor]:
        """Mean class logits of given boxes over all stages; see :meth:`detect`.

        Args:
            features: of B images.
            img_metas: their metas.
            bboxes: B tensors (n_i, 4), xyxy in pixels.

        Returns:
            B tensors (n_i, num_classes + 1).
        """
        logits = []
        for i, (boxes, meta) in enumerate(zip(bboxes, img_metas, strict=True)):
            if len(boxes):
                logits.append(self.detect(features.of_image(i), boxes, meta)[1].logits)
            else:
                logits.append(boxes.new_zeros(0, self[-1].bbox_head.num_classes + 1))
        return logits

    def refine(
        self, features: Features, img_metas: list[dict], bboxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> list[Tensor]:
        """Given boxes moved by the regression of their own class in all stages; see :meth:`RoIStage.refine`."""
        bboxes = list(bboxes)
        for stage in self:
            bboxes = stage.refine(features, img_metas, bboxes, labels)
        return bboxes
