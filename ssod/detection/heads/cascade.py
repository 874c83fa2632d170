"""The stages of cascades: Cascade R-CNN and Hybrid Task Cascade."""

from typing import NamedTuple

import torch
from mmdet.core.bbox.assigners import BaseAssigner
from mmdet.core.bbox.samplers import BaseSampler, SamplingResult
from torch import Tensor, nn
from torch.nn import functional as F

from ..pseudo_labels import PseudoLabels
from .features import Features
from .roi_stage import RoIOutputs, RoIStage


class StageSamples(NamedTuple):
    """What a stage has sampled on B images, and its outputs for it.

    Attributes:
        results: of each image.
        outputs: of the classification branch all samples', of the regression branch the positives', image after image.
    """

    results: list[SamplingResult]
    outputs: RoIOutputs


class CascadeStage(RoIStage):
    """One stage of a ``CascadeRoIHead``.

    Args:
        detector: see :class:`RoIStage`.
        index: of the stage, from 0.
    """

    def __init__(self, detector: nn.Module, index: int) -> None:
        self.index = index
        self.roi_head = detector.roi_head
        self.bbox_head = detector.roi_head.bbox_head[index]
        self.mask_head = detector.roi_head.mask_head[index] if detector.roi_head.with_mask else None
        self.train_cfg = detector.train_cfg['rcnn'][index] if detector.train_cfg else None
        self.weight = detector.roi_head.stage_loss_weights[index]
        self.prefix = f's{index}.'

    @property
    def assigner(self) -> BaseAssigner:
        """That of the stage."""
        return self.roi_head.bbox_assigner[self.index]

    @property
    def sampler(self) -> BaseSampler:
        """That of the stage."""
        return self.roi_head.bbox_sampler[self.index]

    def _bbox_forward(self, features: Features, rois: Tensor) -> dict[str, Tensor]:
        return self.roi_head._bbox_forward(self.index, features.levels, rois)

    def _mask_forward(self, features: Features, rois: Tensor) -> Tensor:
        return self.roi_head._mask_forward(self.index, features.levels, rois)['mask_pred']

    def sample(self, features: Features, proposals: list[Tensor], labels: list[PseudoLabels]) -> list[SamplingResult]:
        """As :meth:`RoIStage.sample`."""
        self.roi_head.current_stage = self.index  # OHEMSampler asks for it
        return super().sample(features, proposals, labels)

    @torch.no_grad()
    def next_proposals(self, cls: StageSamples, reg: StageSamples, img_metas: list[dict]) -> list[Tensor]:
        """The boxes that the next stage begins with: those of both branches, each once, regressed by this stage.

        A positive moves by the class of its pseudo box, a negative by its likeliest class. Pseudo boxes that the
        sampler has added stay behind: it adds them anew.

        Args:
            cls, reg: samples of the classification branch; of the regression branch the positives count.
            img_metas: of the images; ``img_shape`` bounds the boxes.

        Returns:
            B tensors (n_i, 4), xyxy in pixels.
        """
        sizes = [len(sample.bboxes) for sample in cls.results], [len(sample.pos_bboxes) for sample in reg.results]
        of_images = zip(cls.outputs.logits.split(sizes[0]), cls.outputs.deltas.split(sizes[0]), strict=True)
        rest = reg.outputs.deltas.split(sizes[1])
        proposals = []
        for one, (logits, deltas), more, more_deltas, meta in zip(
            cls.results, of_images, reg.results, rest, img_metas, strict=True
        ):
            num_pos = len(one.pos_bboxes)
            labels = torch.cat([one.pos_gt_labels, logits[num_pos:, :-1].argmax(dim=1)])
            own, new = self._own_boxes(one), self._new_boxes(one, more)
            boxes = torch.cat([one.bboxes[own], more.pos_bboxes[new]])
            labels = torch.cat([labels[own], more.pos_gt_labels[new]])
            deltas = torch.cat([deltas[own], more_deltas[new]])
            proposals.append(self.bbox_head.regress_by_class(boxes, labels, deltas, meta))
        return proposals

    def _own_boxes(self, sample: SamplingResult) -> Tensor:
        """(n,) bool over an image's samples: which are proposals, not pseudo boxes that the sampler has added."""
        return torch.cat([sample.pos_is_gt == 0, torch.ones_like(sample.neg_inds, dtype=torch.bool)])

    def _new_boxes(self, one: SamplingResult, more: SamplingResult) -> Tensor:
        """(m,) bool over the positives of ``more``: which are proposals that ``one`` has not sampled."""
        # The sampler puts the pseudo boxes that it adds, of each branch its own, before the proposals.
        added = getattr(self.sampler, 'add_gt_as_proposals', False)
        first, second = (sample.num_gts if added else 0 for sample in (one, more))
        known = torch.cat([one.pos_inds, one.neg_inds]) - first
        return (more.pos_is_gt == 0) & ~torch.isin(more.pos_inds - second, known)


class HybridStage(CascadeStage):
    """One stage of a ``HybridTaskCascadeRoIHead``, which looks at the semantic head's features, too."""

    def _bbox_forward(self, features: Features, rois: Tensor) -> dict[str, Tensor]:
        return self.roi_head._bbox_forward(self.index, features.levels, rois, semantic_feat=features.semantic)

    @property
    def interleaved(self) -> bool:
        """Masks learn from boxes that this stage has refined (HTC, section 3.2)."""
        return self.roi_head.interleaved

    def _mask_forward(self, features: Features, rois: Tensor) -> Tensor:
        """Through the mask heads of all stages up to this one, which hand their features on (HTC, section 3.3)."""
        head, extractor = self.roi_head, self.roi_head.mask_roi_extractor[self.index]
        pooled = extractor(features.levels[: extractor.num_inputs], rois)
        if features.semantic is not None and 'mask' in head.semantic_fusion:
            semantic = head.semantic_roi_extractor([features.semantic], rois)
            if semantic.shape[-2:] != pooled.shape[-2:]:
                semantic = F.adaptive_avg_pool2d(semantic, pooled.shape[-2:])
            pooled = pooled + semantic
        handed = None
        if head.mask_info_flow:
            for before in head.mask_head[: self.index]:
                handed = before(pooled, handed, return_logits=False)
        return self.mask_head(pooled, handed, return_feat=False)
