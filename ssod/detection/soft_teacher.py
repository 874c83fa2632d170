"""Soft Teacher (Xu et al., End-to-End Semi-Supervised Object Detection with Soft Teacher, ICCV 2021)."""

from functools import partial
from typing import Any, NamedTuple

import torch
from mmdet.core import bbox2roi, multiclass_nms
from mmdet.models import DETECTORS, CrossEntropyLoss
from mmdet.models.builder import MODELS
from torch import Tensor

from ssod.core import Batch, in_order_of, view_to_view
from ssod.core.teacher_student import reduced
from ssod.core.views import first_image

from .base import SemiBaseDetector
from .checks import num_classes_of
from .heads import RoIOutputs, RoIStage, background_logits, image_feats, refuse_unfit
from .pseudo_labels import BackgroundSamples, LabeledView, PseudoLabels, build_filter
from .pseudo_labels.projection import project_views
from .pseudo_labels.sieve import Sieve
from .settings import HINTS, SoftTeacherCfg

Feats = tuple[Tensor, ...]


class TeacherView(NamedTuple):
    """What the teacher finds on the weak views of B images.

    Attributes:
        feats: its feature maps (B, C, H, W), one per level.
        img_metas: of the weak views.
        candidates: of each image, boxes in the weak view, with their regression variance if a filter asks for it.
        max_score: the highest foreground score on any proposal, a scalar.
        detected: detections on all images, those of ``min_pseudo_bbox_size`` and less included.
    """

    feats: Feats
    img_metas: list[dict]
    candidates: list[PseudoLabels]
    max_score: Tensor
    detected: int


class StudentLabels(NamedTuple):
    """The pseudo boxes of each branch in the strong views of B images, one ``PseudoLabels`` per image each.

    Attributes:
        rpn, cls, reg: of the RPN, of RoI classification and of RoI regression.
        found: where they come from.
    """

    rpn: list[PseudoLabels]
    cls: list[PseudoLabels]
    reg: list[PseudoLabels]
    found: TeacherView


@DETECTORS.register_module()
class SoftTeacher(SemiBaseDetector):
    """Soft Teacher over a two-stage detector whose RoI head refines a box once.

    The teacher's detections on the weak view become three sets of pseudo boxes on the strong view: for the RPN, for
    RoI classification (background samples weighted by the teacher's trust in them) and for RoI regression.

    ``semi_train_cfg`` takes the keys of :class:`SoftTeacherCfg`.

    Raises:
        TypeError: a detector that the method cannot train; see :func:`ssod.detection.heads.refuse_unfit`.
        ValueError: a setting that is not known, or more than one filter that measures the regression variance.
    """

    Settings = SoftTeacherCfg
    hints = HINTS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        refuse_unfit(self.student)
        cfg = self.semi_train_cfg
        num_classes = num_classes_of(self.student)
        self.rpn_filter = build_filter(cfg.rpn_filter, num_classes)
        self.cls_filter = build_filter(cfg.cls_filter, num_classes)
        self.reg_filter = build_filter(cfg.reg_filter, num_classes) if cfg.reg_filter else self.cls_filter
        self.background_weight = MODELS.build(cfg.background_weight) if cfg.background_weight else None
        loss = self.student.roi_head.bbox_head.loss_cls
        if cfg.cls_targets == 'soft' and (not isinstance(loss, CrossEntropyLoss) or loss.use_sigmoid):
            needed = "SoftTeacher: cls_targets='soft' needs a softmax cross entropy"
            raise TypeError(f'{needed}, the box head has a {type(loss).__name__}')
        self.sieves = dict(cls=Sieve(), reg=Sieve())
        filters = {self.rpn_filter, self.cls_filter, self.reg_filter}
        refuse_filters(filters, cfg.candidate_score_thr)
        if sum(hasattr(f, 'variance') for f in filters) > 1:
            raise ValueError('SoftTeacher: one filter at most may measure the regression variance')
        if cfg.pseudo_bbox == 'jitter_mean' and not any(hasattr(f, 'refine_jittered') for f in filters):
            raise ValueError("SoftTeacher: pseudo_bbox='jitter_mean' needs a JitterVarianceFilter, which jitters")

    # ------------------------------------------------------------------------------- act 2: the teacher's labels

    @torch.no_grad()
    def find_pseudo_labels(self, teacher_batch: Batch) -> TeacherView:
        """What the teacher detects on the weak view above ``candidate_score_thr`` (section 3.1)."""
        teacher, img_metas = self.teacher, teacher_batch['img_metas']
        feats = teacher.extract_feat(teacher_batch['img'])
        # Proposals as in training: the teacher stands where the student will.
        proposal_cfg = teacher.train_cfg.get('rpn_proposal', teacher.test_cfg.rpn)
        proposals = teacher.rpn_head.get_bboxes(*teacher.rpn_head(feats), img_metas=img_metas, cfg=proposal_cfg)
        candidates, max_score = self._detect(feats, img_metas, proposals)
        detected = sum(map(len, candidates))
        candidates = [labels.larger_than(self.semi_train_cfg.min_pseudo_bbox_size) for labels in candidates]
        return TeacherView(feats, img_metas, self._with_variance(feats, img_metas, candidates), max_score, detected)

    def _detect(self, feats: Feats, img_metas: list[dict], proposals: list[Tensor]) -> tuple[list, Tensor]:
        """The teacher's RoI head and NMS over its proposals: candidates of each image, highest foreground score.

        Image by image: RoI features are the largest tensors of a step.
        """
        stage = RoIStage(self.teacher)
        candidates, max_score = [], feats[0].new_zeros(())
        for i, (boxes, meta) in enumerate(zip(proposals, img_metas, strict=True)):
            if len(boxes) == 0:  # MMDetection's NMS cannot reshape the boxes of an image without any
                none = boxes.new_zeros(0)
                candidates.append(PseudoLabels(boxes[:, :4], none.long(), none, foreground_scores=none))
                continue
            rois = bbox2roi([boxes])
            outputs = stage.forward(image_feats(feats, i), rois)
            candidates.append(self.keep_candidates(rois, outputs, meta))
            max_score = torch.maximum(max_score, outputs.logits.softmax(dim=-1)[:, :-1].max())
        return candidates, max_score

    def keep_candidates(self, rois: Tensor, outputs: RoIOutputs, img_meta: dict) -> PseudoLabels:
        """What NMS keeps of one image's RoIs above ``candidate_score_thr``, boxes in the teacher view.

        Args:
            rois: (n, 5): image index, then xyxy in pixels of the teacher view; n > 0.
            outputs: of the teacher's box head for them.
            img_meta: of the image; ``img_shape`` bounds the boxes.
        """
        cfg = self.teacher.test_cfg.rcnn
        bboxes, scores = RoIStage(self.teacher).decode(rois, outputs, img_meta)
        # A box under the threshold neither suppresses nor outranks one above it, so NMS need not see it.
        dets, labels, kept = multiclass_nms(
            bboxes, scores, self.semi_train_cfg.candidate_score_thr, cfg.nms, cfg.max_per_img, return_inds=True
        )
        proposal = torch.div(kept, scores.shape[1] - 1, rounding_mode='floor')  # NMS counts boxes times classes
        return PseudoLabels(dets[:, :4], labels, dets[:, 4], foreground_scores=1 - scores[proposal, -1])

    def _with_variance(self, feats: Feats, img_metas: list[dict], candidates: list[PseudoLabels]) -> list[PseudoLabels]:
        """The candidates with their box regression variance, if any filter measures it."""
        for candidate_filter in (self.reg_filter, self.cls_filter, self.rpn_filter):
            if hasattr(candidate_filter, 'variance'):
                refine = partial(RoIStage(self.teacher).refine, feats, img_metas)
                bboxes, labels = [c.bboxes for c in candidates], [c.labels for c in candidates]
                if self.semi_train_cfg.pseudo_bbox == 'jitter_mean':
                    jittered = candidate_filter.refine_jittered(refine, bboxes, labels)
                    return [c.with_variance(j.variance, j.mean) for c, j in zip(candidates, jittered, strict=True)]
                variances = candidate_filter.variance(refine, bboxes, labels)
                return [c.with_variance(v) for c, v in zip(candidates, variances, strict=True)]
        return candidates

    # --------------------------------------------------------------------- act 3: their place in the strong view

    def project_pseudo_labels(self, found: TeacherView, student_batch: Batch) -> StudentLabels:
        """The pseudo boxes of each branch, chosen by its filter, in the student view (sections 3.2, 3.3)."""
        metas = student_batch['img_metas']
        matrices = view_to_view(found.img_metas, metas, found.candidates[0].bboxes.device)
        branches = {}
        for name, keep, min_size in (
            ('rpn', self.rpn_filter, self.semi_train_cfg.min_pseudo_bbox_size),
            ('cls', self.cls_filter, 0),
            ('reg', self.reg_filter, 0),
        ):
            kept = [labels[keep(labels)] for labels in found.candidates]
            placed = [
                labels.project(matrix, meta['img_shape']).larger_than(min_size)
                for labels, matrix, meta in zip(kept, matrices, metas, strict=True)
            ]
            branches[name] = placed
            if name in self.sieves:
                self.sieves[name].add(found.detected, found.candidates, sum(map(len, kept)), sum(map(len, placed)))
        return StudentLabels(**branches, found=found)

    # ------------------------------------------------------------------------------ act 4: the student's losses

    def unsupervised_losses(self, student_batch: Batch, labels: StudentLabels) -> dict[str, Tensor]:
        """The three unsupervised losses (section 3, equations 2 to 5), under the detector's names, unweighted."""
        stage = RoIStage(self.student)
        feats = self.student.extract_feat(student_batch['img'])
        rpn_losses, proposals = self._rpn_losses(feats, student_batch, labels.rpn)
        cls_samples = stage.sample(feats, proposals, labels.cls)
        reg_samples = stage.sample(feats, proposals, labels.reg)
        # One pass for both branches; of regression only the positives, which alone count.
        cls_rois = bbox2roi([sample.bboxes for sample in cls_samples])
        reg_rois = bbox2roi([sample.pos_bboxes for sample in reg_samples])
        logits, deltas = stage.forward(feats, torch.cat([cls_rois, reg_rois]))
        logits, deltas = logits[: len(cls_rois)], deltas[len(cls_rois) :]
        self.observe(labels.found.candidates)
        return {
            **reduced(rpn_losses),
            **self._cls_losses(stage, logits, cls_samples, student_batch, labels),
            'loss_bbox': stage.reg_loss(deltas, reg_rois, reg_samples, labels.reg, self.semi_train_cfg.reg_avg_factor),
        }

    def _rpn_losses(self, feats: Feats, batch: Batch, labels: list[PseudoLabels]) -> tuple[dict, list[Tensor]]:
        """The RPN's losses against its pseudo boxes, and the student's proposals from the same pass."""
        for meta in batch['img_metas']:
            meta['batch_input_shape'] = tuple(batch['img'].shape[-2:])
        proposal_cfg = self.student.train_cfg.get('rpn_proposal', self.student.test_cfg.rpn)
        gt_bboxes = [own.bboxes for own in labels]
        return self.student.rpn_head.forward_train(feats, batch['img_metas'], gt_bboxes, proposal_cfg=proposal_cfg)

    def _cls_losses(
        self, stage: RoIStage, logits: Tensor, samples: list, batch: Batch, labels: StudentLabels
    ) -> dict[str, Tensor]:
        """``loss_cls`` and ``acc`` of the sampled RoIs, by hard targets with background weights, or by soft targets."""
        teacher_logits = partial(RoIStage(self.teacher).logits, labels.found.feats)
        if self.semi_train_cfg.cls_targets == 'soft':
            bboxes = project_views([s.bboxes[:, :4] for s in samples], batch['img_metas'], labels.found.img_metas)
            with torch.no_grad():
                targets = torch.cat(teacher_logits(bboxes)).softmax(dim=-1)
            return stage.soft_cls_loss(logits, targets)
        weights = None
        if self.background_weight is not None:
            negatives = [sample.neg_bboxes[:, :4] for sample in samples]
            background = BackgroundSamples(
                bboxes=negatives,
                teacher_bboxes=project_views(negatives, batch['img_metas'], labels.found.img_metas),
                pseudo_bboxes=[own.bboxes for own in labels.cls],
                student_logits=background_logits(logits.detach(), samples),
                teacher_logits=teacher_logits,
            )
            weights = self.background_weight(background)
        return stage.cls_loss(logits, samples, labels.cls, weights, self.semi_train_cfg.cls_avg_factor)

    # ------------------------------------------------------------------------------------------- names and figures

    def loss_names(self) -> tuple[str, ...]:
        """Names of Faster R-CNN's losses and measures."""
        return ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox')

    def figures(self, labels: StudentLabels) -> dict[str, Tensor]:
        """Mean number of pseudo boxes per image by set, mean candidate score, highest score: float scalars to log."""
        candidates, max_score = labels.found.candidates, labels.found.max_score
        counts = [
            max_score.new_full((), sum(map(len, own)) / len(own))
            for own in (candidates, labels.rpn, labels.cls, labels.reg)
        ]
        scores = torch.cat([own.scores for own in candidates])
        mean_score = scores.sum() / max(len(scores), 1)
        return dict(zip(FIGURES, (*counts, mean_score, max_score), strict=True))

    def zero_figures(self) -> dict[str, Tensor]:
        """Counts and scores when there is no unlabeled image."""
        return dict.fromkeys(FIGURES, next(self.student.parameters()).new_zeros(()))

    def pseudo_label_views(self, unsup_teacher: Batch, unsup_student: Batch) -> list[LabeledView]:
        """The weak view with all candidates, the strong view with the classification branch's pseudo boxes."""
        strong = first_image(self.preprocess(unsup_student))
        weak = first_image(in_order_of(self.preprocess(unsup_teacher), unsup_student['img_metas']))
        found = self.find_pseudo_labels(weak)
        labels = self.project_pseudo_labels(found, strong)
        return [
            LabeledView(view['img'][0], view['img_metas'][0], own[0])
            for view, own in ((weak, found.candidates), (strong, labels.cls))
        ]

    def why_no_pseudo_boxes(self, max_score: float) -> str:
        """Which step on the way to the classification branch loses the boxes, and what may be changed."""
        return self.sieves['cls'].cause('cls', self.cls_filter, self.semi_train_cfg, max_score)

    def why_no_regression_boxes(self, max_score: float) -> str:
        """As :meth:`why_no_pseudo_boxes`, of the regression branch."""
        return self.sieves['reg'].cause('reg', self.reg_filter, self.semi_train_cfg, max_score)


def refuse_filters(filters: set, candidate_score_thr: float) -> None:
    """Refuse filters that would never see what they ask for.

    Raises:
        ValueError: there is one.
    """
    for keep in filters:
        if hasattr(keep, 'spread'):
            raise ValueError(
                f"SoftTeacher: {type(keep).__name__} reads a dense head's predictions, use JitterVarianceFilter"
            )
        if getattr(keep, 'floor', 1) < candidate_score_thr:
            raise ValueError(
                f'SoftTeacher: {type(keep).__name__}(floor={keep.floor}) never sees a score under '
                f'candidate_score_thr={candidate_score_thr}: lower that'
            )


FIGURES = (
    'num_pseudo_candidates',
    'num_pseudo_rpn',
    'num_pseudo_cls',
    'num_pseudo_reg',
    'teacher_score',
    'teacher_max_score',
)
