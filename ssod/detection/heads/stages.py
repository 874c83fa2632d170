"""A RoI head as the stages that a box goes through, one after another."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from mmdet.models.roi_heads import CascadeRoIHead, HybridTaskCascadeRoIHead
from torch import Tensor, nn

from .cascade import CascadeStage, HybridStage
from .features import Features
from .roi_stage import RoIOutputs, RoIStage
from .rois import rois_of


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
        return Features(levels, self.semantic_head(levels)[1] if self.semantic_head is not None else None)

    @property
    def semantic_head(self) -> nn.Module | None:
        """That of a Hybrid Task Cascade; None of other heads, or where it has none."""
        return getattr(self.roi_head, 'semantic_head', None)

    def detect(self, features: Features, boxes: Tensor, img_meta: dict) -> tuple[Tensor, RoIOutputs]:
        """One image's boxes through all stages, each regressed by its likeliest class from one to the next.

        Args:
            features: of the image.
            boxes: (n, 4) or wider, xyxy in pixels; n > 0.
            img_meta: ``img_shape`` bounds the boxes.

        Returns:
            RoIs (n, 5) of the last stage, and its outputs with the mean of all stages' logits.
        """
        rois = rois_of([boxes])
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
        if len(self) == 1:
            return self[0].logits(features, bboxes)
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

    def masks(self, features: Features, bboxes: Sequence[Tensor], labels: Sequence[Tensor]) -> list[Tensor]:
        """The masks of given boxes, each over its own: the mean of the stages' probabilities.

        MMDetection's own ``simple_test`` of a cascade mirrors the masks of a view that its meta says is flipped, as
        test-time augmentation needs it; here they stay as the view shows them.

        Args:
            features: of B images.
            bboxes: B tensors (n_i, 4), xyxy in pixels.
            labels: B tensors (n_i,) int64.

        Returns:
            B tensors (n_i, S, S) in [0, 1].
        """
        rois, classes = rois_of(bboxes), torch.cat(list(labels))
        found = [stage.own_masks(stage.mask_logits(features, rois), classes).sigmoid() for stage in self]
        return list(torch.stack(found).mean(dim=0).split([len(own) for own in bboxes]))

    @property
    def has_masks(self) -> bool:
        """The head has masks."""
        return self.roi_head.with_mask

    def loss_names(self) -> tuple[str, ...]:
        """Names of the head's losses and measures in MMDetection's order; of a cascade ``s0.loss_cls``, say."""
        of_stage = ('loss_cls', 'acc', 'loss_bbox', *(['loss_mask'] if self.has_masks else []))
        first = ['loss_semantic_seg'] if self.semantic_head is not None else []
        return (*first, *(stage.prefix + name for stage in self for name in of_stage))
