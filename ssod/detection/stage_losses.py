"""Act 4 of Soft Teacher in the RoI head: what each stage learns on unlabeled images (section 3, equations 3 and 5)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from mmdet.core.bbox.samplers import SamplingResult
from torch import Tensor

from .acts import StudentLabels
from .heads import Features, RoIStage, RoIStages, StageSamples, background_logits
from .heads.rois import rois_of
from .pseudo_labels import BackgroundSamples
from .pseudo_labels.projection import project_views
from .settings import SoftTeacherCfg


@dataclass(frozen=True)
class StageLosses:
    """The losses of the student's RoI head on B strong views, stage after stage.

    Attributes:
        settings: of Soft Teacher.
        background_weight: see ``ssod.detection.pseudo_labels``; None weighs every background sample with 1.
        student, teacher: the stages of either.
        features: the student's.
        img_metas: of the strong views.
        labels: their pseudo boxes.
    """

    settings: SoftTeacherCfg
    background_weight: Callable[[BackgroundSamples], Tensor] | None
    student: RoIStages
    teacher: RoIStages
    features: Features
    img_metas: list[dict]
    labels: StudentLabels

    def of(self, proposals: list[Tensor]) -> dict[str, Tensor]:
        """Losses and measures under MMDetection's names, scalars, each with the weight of its stage.

        Args:
            proposals: B tensors (n_i, 4) or wider, of the student's RPN, xyxy in pixels.
        """
        losses = {}
        if self.student.semantic_head is not None:  # looked at, and not taught: there is no map of an unlabeled image
            losses['loss_semantic_seg'] = sum(p.sum() for p in self.student.semantic_head.parameters()) * 0
        for stage, judge in zip(self.student, self.teacher, strict=True):
            own, proposals = self._of_stage(stage, judge, proposals)
            losses |= {stage.prefix + k: value * stage.weight if 'loss' in k else value for k, value in own.items()}
        return losses

    def _of_stage(self, stage: RoIStage, judge: RoIStage, proposals: list[Tensor]) -> tuple[dict, list[Tensor]]:
        """Those of one stage, without its weight, and the next one's proposals; ``judge`` is the teacher's stage."""
        cls_samples = stage.sample(self.features, proposals, self.labels.cls)
        reg_samples = stage.sample(self.features, proposals, self.labels.reg)
        # One pass for both branches; of regression only the positives, which alone count.
        cls_rois = rois_of([sample.bboxes for sample in cls_samples])
        reg_rois = rois_of([sample.pos_bboxes for sample in reg_samples])
        outputs = stage.forward(self.features, torch.cat([cls_rois, reg_rois]))
        of_cls, of_reg = outputs.split(len(cls_rois))
        avg_factor = self.settings.reg_avg_factor
        losses = self._cls_losses(stage, judge, of_cls.logits, cls_samples)
        losses['loss_bbox'] = stage.reg_loss(of_reg.deltas, reg_rois, reg_samples, self.labels.reg, avg_factor)
        refined = proposals
        if stage is not self.student[-1] or stage.interleaved:
            samples = StageSamples(cls_samples, of_cls), StageSamples(reg_samples, of_reg)
            refined = stage.next_proposals(*samples, self.img_metas)
        if self.labels.mask is not None:
            losses['loss_mask'] = self._mask_loss(stage, self._mask_samples(stage, proposals, refined, reg_samples))
        return losses, refined

    def _mask_samples(
        self, stage: RoIStage, proposals: list[Tensor], refined: list[Tensor], reg_samples: list[SamplingResult]
    ) -> list[SamplingResult]:
        """Whose positives the mask head learns from: those of regression, unless the masks are of other boxes."""
        if stage.interleaved:
            return stage.sample(self.features, refined, self.labels.mask)
        if self.labels.mask is self.labels.reg:
            return reg_samples
        return stage.sample(self.features, proposals, self.labels.mask)

    def _mask_loss(self, stage: RoIStage, samples: list[SamplingResult]) -> Tensor:
        """``loss_mask`` of the positives among the samples of each image."""
        cfg = self.settings
        logits = stage.mask_logits(self.features, rois_of([sample.pos_bboxes for sample in samples]))
        how = cfg.mask_target, cfg.mask_ignore, cfg.mask_score_power
        return cfg.mask_weight * stage.mask_loss(logits, samples, self.labels.mask, *how)

    def _cls_losses(
        self, stage: RoIStage, judge: RoIStage, logits: Tensor, samples: list[SamplingResult]
    ) -> dict[str, Tensor]:
        """``loss_cls`` and ``acc`` of the sampled RoIs, by hard targets with background weights, or by soft targets."""
        found = self.labels.found
        if self.settings.background_mode == 'mean':
            teacher_logits = partial(self.teacher.logits, found.features, found.img_metas)
        else:
            teacher_logits = partial(judge.logits, found.features)
        if self.settings.cls_targets == 'soft':
            bboxes = project_views([s.bboxes[:, :4] for s in samples], self.img_metas, found.img_metas)
            with torch.no_grad():
                targets = torch.cat(teacher_logits(bboxes)).softmax(dim=-1)
            return stage.soft_cls_loss(logits, targets)
        weights = None
        if self.background_weight is not None:
            negatives = [sample.neg_bboxes[:, :4] for sample in samples]
            background = BackgroundSamples(
                bboxes=negatives,
                teacher_bboxes=project_views(negatives, self.img_metas, found.img_metas),
                pseudo_bboxes=[own.bboxes for own in self.labels.cls],
                student_logits=background_logits(logits.detach(), samples),
                teacher_logits=teacher_logits,
            )
            weights = self.background_weight(background)
        return stage.cls_loss(logits, samples, self.labels.cls, weights, self.settings.cls_avg_factor)
