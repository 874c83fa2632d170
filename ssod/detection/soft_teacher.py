"""Soft Teacher (Xu et al., End-to-End Semi-Supervised Object Detection with Soft Teacher, ICCV 2021)."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from mmcv import ConfigDict
from mmdet.core import multiclass_nms
from mmdet.models import DETECTORS
from mmdet.models.builder import MODELS
from torch import Tensor

from ssod.core import Batch, in_order_of, view_to_view
from ssod.core.teacher_student import reduced
from ssod.core.views import first_image

from .acts import StudentLabels, TeacherView
from .base import SemiBaseDetector
from .checks import num_classes_of
from .heads import Features, RoIOutputs, RoIStages, refuse_unfit
from .heads.detect_together import detect_together, detects_together
from .heads.rois import rois_of
from .pseudo_labels import LabeledView, PseudoLabels, build_filter, together
from .pseudo_labels.sieve import Sieve
from .settings import HINTS, SoftTeacherCfg
from .settings_check import check_settings
from .stage_losses import StageLosses

Placed = tuple[str, int, list[PseudoLabels]]  # a branch; how many its filter keeps; what lies in the views


@DETECTORS.register_module()
class SoftTeacher(SemiBaseDetector):
    """Soft Teacher over a two-stage detector: Faster R-CNN or a cascade, with masks or without.

    The teacher's detections on the weak view become three sets of pseudo boxes on the strong view: for the RPN, for
    RoI classification (background samples weighted by the teacher's trust in them) and for RoI regression, which masks
    learn from, too, unless they have a filter of their own.

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
        self.mask_filter = None
        if RoIStages(self.student).has_masks:
            self.mask_filter = build_filter(cfg.mask_filter, num_classes) if cfg.mask_filter else self.reg_filter
        self.sieves = dict(cls=Sieve(), reg=Sieve())
        if self.mask_filter is not self.reg_filter and self.mask_filter is not None:
            self.sieves['mask'] = Sieve()
        filters = {self.rpn_filter, self.cls_filter, self.reg_filter, self.mask_filter}
        check_settings(cfg, RoIStages(self.student), filters)

    # ------------------------------------------------------------------------------- act 2: the teacher's labels

    @torch.no_grad()
    def find_pseudo_labels(self, teacher_batch: Batch) -> TeacherView:
        """What the teacher detects on the weak view above ``candidate_score_thr`` (section 3.1)."""
        teacher, img_metas = self.teacher, teacher_batch['img_metas']
        features = RoIStages(teacher).features(teacher.extract_feat(teacher_batch['img']))
        # Proposals as in training: the teacher stands where the student will.
        proposal_cfg = teacher.train_cfg.get('rpn_proposal', teacher.test_cfg.rpn)
        outputs = teacher.rpn_head(features.levels)
        proposals = teacher.rpn_head.get_bboxes(*outputs, img_metas=img_metas, cfg=proposal_cfg)
        candidates, max_score = self._detect(features, img_metas, proposals)
        detected = sum(map(len, candidates))
        min_size = self.semi_train_cfg.min_pseudo_bbox_size
        if together.go_together(candidates):
            candidates = together.large(candidates, min_size)
        else:
            candidates = [labels.larger_than(min_size) for labels in candidates]
        candidates = self._with_variance(features, img_metas, candidates)
        masked = None
        if self.mask_filter is not None:
            masked = self._with_masks(features, [labels[self.mask_filter(labels)] for labels in candidates])
        return TeacherView(features, img_metas, candidates, masked, max_score, detected)

    def _detect(self, features: Features, img_metas: list[dict], proposals: list[Tensor]) -> tuple[list, Tensor]:
        """The teacher's RoI head and NMS over its proposals: candidates of each image, highest foreground score.

        On a CPU image by image, and cascades, too: RoI features are the largest tensors of a step.
        """
        stages, nms = RoIStages(self.teacher), self._nms()
        if detects_together(stages, nms, features.levels[0].device) and sum(map(len, proposals)):
            rois = rois_of(proposals)
            outputs = stages[0].forward(features, rois)
            cfg = dict(self.teacher.test_cfg.rcnn, nms=nms)
            threshold = self.semi_train_cfg.candidate_score_thr
            candidates = detect_together(stages[0], rois, outputs, img_metas, threshold, ConfigDict(cfg))
            return candidates, outputs.logits.softmax(dim=-1)[:, :-1].max()
        candidates, max_score = [], features.levels[0].new_zeros(())
        for i, (boxes, meta) in enumerate(zip(proposals, img_metas, strict=True)):
            if len(boxes) == 0:  # MMDetection's NMS cannot reshape the boxes of an image without any
                none = boxes.new_zeros(0)
                candidates.append(PseudoLabels(boxes[:, :4], none.long(), none, foreground_scores=none))
                continue
            rois, outputs = stages.detect(features.of_image(i), boxes, meta)
            candidates.append(self.keep_candidates(rois, outputs, meta))
            max_score = torch.maximum(max_score, outputs.logits.softmax(dim=-1)[:, :-1].max())
        return candidates, max_score

    def keep_candidates(self, rois: Tensor, outputs: RoIOutputs, img_meta: dict) -> PseudoLabels:
        """What NMS keeps of one image's RoIs above ``candidate_score_thr``, boxes in the teacher view.

        Args:
            rois: (n, 5): image index, then xyxy in pixels of the teacher view; n > 0.
            outputs: of the teacher's last box head for them.
            img_meta: of the image; ``img_shape`` bounds the boxes.
        """
        cfg, nms = self.teacher.test_cfg.rcnn, self._nms()
        bboxes, scores = RoIStages(self.teacher)[-1].decode(rois, outputs, img_meta)
        # A box under the threshold neither suppresses nor outranks one above it, so NMS need not see it.
        dets, labels, kept = multiclass_nms(
            bboxes, scores, self.semi_train_cfg.candidate_score_thr, nms, cfg.max_per_img, return_inds=True
        )
        proposal = torch.div(kept, scores.shape[1] - 1, rounding_mode='floor')  # NMS counts boxes times classes
        return PseudoLabels(dets[:, :4], labels, dets[:, 4], foreground_scores=1 - scores[proposal, -1])

    def _nms(self) -> dict:
        """The settings of NMS among the teacher's boxes."""
        nms = self.teacher.test_cfg.rcnn.nms
        if nms.get('type') == 'soft_nms':  # for testing: as pseudo boxes it would keep an object's box several times
            return dict(type='nms', iou_threshold=nms.get('iou_threshold', 0.5))
        return nms

    def _with_variance(
        self, features: Features, img_metas: list[dict], candidates: list[PseudoLabels]
    ) -> list[PseudoLabels]:
        """The candidates with their box regression variance, if any filter measures it."""
        for candidate_filter in (self.reg_filter, self.cls_filter, self.rpn_filter, self.mask_filter):
            if hasattr(candidate_filter, 'variance'):
                stages, which = RoIStages(self.teacher), getattr(candidate_filter, 'stages', 'all')
                refine = partial((stages if which == 'all' else stages[which]).refine, features, img_metas)
                bboxes, labels = [c.bboxes for c in candidates], [c.labels for c in candidates]
                if self.semi_train_cfg.pseudo_bbox == 'jitter_mean':
                    jittered = candidate_filter.refine_jittered(refine, bboxes, labels)
                    return [c.with_variance(j.variance, j.mean) for c, j in zip(candidates, jittered, strict=True)]
                variances = candidate_filter.variance(refine, bboxes, labels)
                return [c.with_variance(v) for c, v in zip(candidates, variances, strict=True)]
        return candidates

    def _with_masks(self, features: Features, labels: list[PseudoLabels]) -> list[PseudoLabels]:
        """The labels with the teacher's masks of their boxes."""
        masks = RoIStages(self.teacher).masks(features, [own.bboxes for own in labels], [own.labels for own in labels])
        return [own.with_masks(found) for own, found in zip(labels, masks, strict=True)]

    # --------------------------------------------------------------------- act 3: their place in the strong view

    def project_pseudo_labels(self, found: TeacherView, student_batch: Batch) -> StudentLabels:
        """The pseudo boxes of each branch, chosen by its filter, in the student view (sections 3.2, 3.3)."""
        metas = student_batch['img_metas']
        matrices = view_to_view(found.img_metas, metas, found.candidates[0].bboxes.device)
        branches = dict(mask=None)
        filters = [
            ('rpn', self.rpn_filter, self.semi_train_cfg.min_pseudo_bbox_size),
            ('cls', self.cls_filter, 0),
            ('reg', self.reg_filter, 0),
        ]
        if self.mask_filter is not self.reg_filter and self.mask_filter is not None:
            filters.append(('mask', self.mask_filter, 0))
        at_once = together.go_together(found.candidates) and self.mask_filter is None
        place = self._placed_together if at_once else self._placed
        for name, kept, placed in place(found, matrices, metas, filters):
            branches[name] = placed
            if name in self.sieves:
                self.sieves[name].add(found.detected, found.candidates, kept, sum(map(len, placed)))
        if self.mask_filter is self.reg_filter:
            branches['mask'] = branches['reg']
        return StudentLabels(**branches, found=found)

    def _placed(
        self, found: TeacherView, matrices: Tensor, metas: list[dict], filters: list[tuple]
    ) -> Iterator[Placed]:
        """Of each branch how many labels its filter keeps, and those that lie in the strong views."""
        for name, keep, min_size in filters:
            kept = found.masked if keep is self.mask_filter else [labels[keep(labels)] for labels in found.candidates]
            placed = [
                labels.project(matrix, meta['img_shape']).larger_than(min_size)
                for labels, matrix, meta in zip(kept, matrices, metas, strict=True)
            ]
            yield name, sum(map(len, kept)), placed

    def _placed_together(
        self, found: TeacherView, matrices: Tensor, metas: list[dict], filters: list[tuple]
    ) -> Iterator[Placed]:
        """As :meth:`_placed`: all candidates are moved once, and the host waits once for all branches."""
        moved = together.project(found.candidates, matrices, metas)
        boxes = torch.cat([labels.bboxes for labels in moved])
        keep = torch.stack([torch.cat([chosen(own) for own in found.candidates]) for _, chosen, _ in filters])
        fits = torch.stack([together.larger(boxes, min_size) for *_, min_size in filters])
        kept, placed = torch.stack([keep, keep & fits]).tolist()
        for (name, *_), of_filter, in_view in zip(filters, kept, placed, strict=True):
            yield name, sum(of_filter), together.select(moved, in_view)

    # ------------------------------------------------------------------------------ act 4: the student's losses

    def unsupervised_losses(self, student_batch: Batch, labels: StudentLabels) -> dict[str, Tensor]:
        """The unsupervised losses (section 3, equations 2 to 5; masks), under the detector's names, unweighted."""
        student, teacher, metas = RoIStages(self.student), RoIStages(self.teacher), student_batch['img_metas']
        features = student.features(self.student.extract_feat(student_batch['img']))
        rpn_losses, proposals = self._rpn_losses(features, student_batch, labels.rpn)
        roi_losses = StageLosses(
            self.semi_train_cfg, self.background_weight, student, teacher, features, metas, labels
        ).of(proposals)
        self.observe(labels.found.candidates)
        return {**reduced(rpn_losses), **roi_losses}

    def _rpn_losses(self, features: Features, batch: Batch, labels: list[PseudoLabels]) -> tuple[dict, list[Tensor]]:
        """The RPN's losses against its pseudo boxes, and the student's proposals from the same pass."""
        for meta in batch['img_metas']:
            meta['batch_input_shape'] = tuple(batch['img'].shape[-2:])
        rpn, metas, gt_bboxes = self.student.rpn_head, batch['img_metas'], [own.bboxes for own in labels]
        proposal_cfg = self.student.train_cfg.get('rpn_proposal', self.student.test_cfg.rpn)
        return rpn.forward_train(features.levels, metas, gt_bboxes, proposal_cfg=proposal_cfg)

    # ------------------------------------------------------------------------------------------- names and figures

    def loss_names(self) -> tuple[str, ...]:
        """Names of the detector's losses and measures, in MMDetection's order."""
        return ('loss_rpn_cls', 'loss_rpn_bbox', *RoIStages(self.student).loss_names())

    def figures(self, labels: StudentLabels) -> dict[str, Tensor]:
        """Mean number of pseudo boxes per image by set, mean candidate score, highest score: float scalars to log."""
        candidates, max_score = labels.found.candidates, labels.found.max_score
        branches = [candidates, labels.rpn, labels.cls, labels.reg, *([labels.mask] if labels.mask is not None else [])]
        counts = [max_score.new_full((), sum(map(len, own)) / len(own)) for own in branches]
        scores = torch.cat([own.scores for own in candidates])
        mean_score = scores.sum() / max(len(scores), 1)
        return dict(zip(self._figure_names(), (*counts, mean_score, max_score), strict=True))

    def zero_figures(self) -> dict[str, Tensor]:
        """Counts and scores when there is no unlabeled image."""
        return dict.fromkeys(self._figure_names(), next(self.student.parameters()).new_zeros(()))

    def taught_classes(self, labels: StudentLabels) -> Tensor:
        """Of the classification branch's boxes."""
        return torch.cat([own.labels for own in labels.cls])

    def _figure_names(self) -> list[str]:
        branches = ('candidates', 'rpn', 'cls', 'reg', *(['mask'] if self.mask_filter is not None else []))
        return [*(f'num_pseudo_{name}' for name in branches), 'teacher_score', 'teacher_max_score']

    def pseudo_label_views(self, unsup_teacher: Batch, unsup_student: Batch) -> list[LabeledView]:
        """The weak view with all candidates, the strong view with the classification branch's pseudo boxes."""
        strong = first_image(self.preprocess(unsup_student))
        weak = first_image(in_order_of(self.preprocess(unsup_teacher), unsup_student['img_metas']))
        found = self.find_pseudo_labels(weak)
        if self.mask_filter is not None:  # all of them, to look at
            found = found._replace(candidates=self._with_masks(found.features, found.candidates))
        labels = self.project_pseudo_labels(found, strong)
        return [
            LabeledView(view['img'][0], view['img_metas'][0], own[0])
            for view, own in ((weak, found.candidates), (strong, labels.cls))
        ]

    def why_no_pseudo_boxes(self, max_score: float) -> str:
        """Which step on the way to the classification branch loses the boxes, and what may be changed."""
        return self.sieves['cls'].cause('cls', self.cls_filter, self.semi_train_cfg, max_score)

    def why_no_boxes_of(self, branch: str, max_score: float) -> str | None:
        """As :meth:`why_no_pseudo_boxes`, of the branch 'reg' or 'mask'; None if its filter is another branch's."""
        keep = dict(reg=self.reg_filter, mask=self.mask_filter)[branch]
        if branch not in self.sieves:
            return None
        return self.sieves[branch].cause(branch, keep, self.semi_train_cfg, max_score)
