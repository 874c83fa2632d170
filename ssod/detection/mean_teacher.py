"""The plain mean teacher of detection: the teacher's boxes are the student's labels, whichever heads they have."""

from typing import Any, NamedTuple

import torch
from mmdet.models import DETECTORS
from mmdet.models.builder import MODELS
from torch import Tensor

from ssod.core import Batch, in_order_of, view_to_view
from ssod.core.teacher_student import reduced
from ssod.core.views import first_image

from .base import AnyHeadDetector
from .checks import num_classes_of
from .heads.dense import box_head_of, can_ignore, default_score_thr, detect, refuse_untrainable, shows_predictions
from .heads.soft_background import background_weights, weighs_points, weighted_background
from .mean_teacher_settings import HINTS, MeanTeacherCfg
from .pseudo_labels import ClassThresholds, LabeledView, PseudoLabels, build_filter
from .pseudo_labels.sieve import Sieve


class WeakView(NamedTuple):
    """What the teacher finds on the weak views of B images.

    Attributes:
        img_metas: of the weak views.
        candidates: of each image, boxes in the weak view.
        max_score: the highest score of a detection, a scalar.
        detected: detections on all images, those of ``min_pseudo_bbox_size`` and less included.
        cls_scores: of each level, before the sigmoid; None without ``soft_background``.
    """

    img_metas: list[dict]
    candidates: list[PseudoLabels]
    max_score: Tensor
    detected: int
    cls_scores: list[Tensor] | None = None


class StrongLabels(NamedTuple):
    """The pseudo boxes in the strong views of B images.

    Attributes:
        boxes: of each image.
        ignored: of each image, what is neither object nor background; None without ``ignore_score_thr``.
        found: where they come from.
    """

    boxes: list[PseudoLabels]
    ignored: list[PseudoLabels] | None
    found: WeakView


@DETECTORS.register_module()
class MeanTeacher(AnyHeadDetector):
    """A mean teacher over any detector of MMDetection with a dense head, or with two stages.

    The teacher's detections on the weak view, those that ``pseudo_filter`` keeps, are moved to the strong view, where
    the student learns from them by its own losses. For two-stage detectors it is the plain baseline of
    :class:`ssod.detection.SoftTeacher`.

    ``semi_train_cfg`` takes the keys of :class:`MeanTeacherCfg`.

    Raises:
        TypeError, ValueError: a detector that it cannot train; see :func:`ssod.detection.heads.refuse_untrainable`. Or
            a setting that is not known.

    Examples:
        >>> from mmcv import Config
        >>> import ssod
        >>> detector = Config.fromfile('configs/_base_/models/faster_rcnn_r18_narrow_scratch.py').model
        >>> model = ssod.detection.MeanTeacher(detector, dict(unsup_weight=2.0))
        >>> model.pseudo_filter.thr  # of a softmax score
        0.7
    """

    Settings = MeanTeacherCfg
    hints = HINTS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        refuse_untrainable(self.student)
        cfg = self.semi_train_cfg
        pseudo = cfg.pseudo_filter or dict(type='ScoreFilter', thr=default_score_thr(type(box_head_of(self.student))))
        self.pseudo_filter = build_filter(pseudo, num_classes_of(self.student))
        self.spread_filter = MODELS.build(cfg.spread_filter) if cfg.spread_filter else None
        self._refuse_settings()
        self.sieves = dict(pseudo=Sieve(), spread=Sieve())

    def _refuse_settings(self) -> None:
        """Refuse what the student's heads cannot do."""
        kind = type(self.student).__name__
        if hasattr(self.pseudo_filter, 'variance') or hasattr(self.spread_filter, 'variance'):
            raise ValueError('MeanTeacher: a JitterVarianceFilter asks a RoI head: set spread_filter=None')
        if hasattr(self.pseudo_filter, 'spread'):
            raise ValueError('MeanTeacher: write PredictionSpreadFilter as semi_train_cfg.spread_filter')
        if self.spread_filter is not None and not shows_predictions(self.student):
            raise ValueError(f'MeanTeacher: {kind} does not give its predictions before NMS: set spread_filter=None')
        if self.semi_train_cfg.soft_background and not weighs_points(self.student):
            raise ValueError(f'MeanTeacher: the points of {kind} cannot be weighted: set soft_background=False')
        if self.semi_train_cfg.ignore_score_thr is not None and not can_ignore(self.student):
            raise ValueError(
                f'MeanTeacher: {kind} ignores no box: set ignore_iof_thr=0.5 in the assigners of '
                'model.detector.train_cfg if they have it, or ignore_score_thr=None'
            )

    # ------------------------------------------------------------------------------- act 2: the teacher's labels

    @torch.no_grad()
    def find_pseudo_labels(self, teacher_batch: Batch) -> WeakView:
        """What the teacher detects on the weak view above ``candidate_score_thr``."""
        cfg, img_metas = self.semi_train_cfg, teacher_batch['img_metas']
        spread = getattr(self.spread_filter, 'spread', None)
        found, cls_scores = detect(self.teacher, teacher_batch['img'], img_metas, spread)
        scores = torch.cat([own.scores for own in found])
        max_score = scores.max() if len(scores) else scores.new_zeros(())
        found = [own[own.scores > cfg.candidate_score_thr] for own in found]
        candidates = [own.larger_than(cfg.min_pseudo_bbox_size) for own in found]
        cls_scores = cls_scores if cfg.soft_background else None
        return WeakView(img_metas, candidates, max_score, sum(map(len, found)), cls_scores)

    # --------------------------------------------------------------------- act 3: their place in the strong view

    def project_pseudo_labels(self, found: WeakView, student_batch: Batch) -> StrongLabels:
        """The candidates that the filters keep, in the strong view."""
        passing = [self.pseudo_filter(own) for own in found.candidates]
        likely = [own[mask] for own, mask in zip(found.candidates, passing, strict=True)]
        if self.spread_filter is not None:
            agreed = [self.spread_filter(own) for own in found.candidates]
            passing = [mask & other for mask, other in zip(passing, agreed, strict=True)]
        kept = [own[mask] for own, mask in zip(found.candidates, passing, strict=True)]
        boxes = self._project(kept, found.img_metas, student_batch['img_metas'])
        ignored = None
        if (low := self.semi_train_cfg.ignore_score_thr) is not None:
            uncertain = [own[~mask & (own.scores > low)] for own, mask in zip(found.candidates, passing, strict=True)]
            ignored = self._project(uncertain, found.img_metas, student_batch['img_metas'])
        numbers = [sum(map(len, each)) for each in (likely, kept, boxes)]
        self.sieves['pseudo'].add(found.detected, found.candidates, numbers[0], numbers[2])
        self.sieves['spread'].add(found.detected, likely, numbers[1], numbers[2])
        return StrongLabels(boxes, ignored, found)

    def _project(
        self, labels: list[PseudoLabels], source_metas: list[dict], target_metas: list[dict]
    ) -> list[PseudoLabels]:
        """Labels of each image in the target view, without those that are small there."""
        matrices = view_to_view(source_metas, target_metas, labels[0].bboxes.device)
        return [
            own.project(matrix, meta['img_shape']).larger_than(self.semi_train_cfg.min_pseudo_bbox_size)
            for own, matrix, meta in zip(labels, matrices, target_metas, strict=True)
        ]

    # ------------------------------------------------------------------------------ act 4: the student's losses

    def unsupervised_losses(self, student_batch: Batch, labels: StrongLabels) -> dict[str, Tensor]:
        """The student's own losses against the pseudo boxes; fewer than half of the images with one: by little."""
        batch = {key: student_batch[key] for key in ('img', 'img_metas')}
        boxes = dict(gt_bboxes=[own.bboxes for own in labels.boxes], gt_labels=[own.labels for own in labels.boxes])
        if labels.ignored is not None:
            boxes['gt_bboxes_ignore'] = [own.bboxes for own in labels.ignored]
        if self.semi_train_cfg.soft_background:
            losses = self._soft_losses({**batch, **boxes}, labels.found)
        else:
            losses = self.student_losses({**batch, **boxes})
        self.observe(labels.found.candidates)
        with_boxes = sum(len(own) > 0 for own in labels.boxes)
        weight = self.semi_train_cfg.empty_weight if 2 * with_boxes < len(labels.boxes) else 1.0
        return {name: value * weight if 'loss' in name else value for name, value in losses.items()}

    def _soft_losses(self, batch: Batch, found: WeakView) -> dict[str, Tensor]:
        """As :meth:`student_losses`, background weighted by the teacher's trust in it."""
        head, img_metas = self.student.bbox_head, batch['img_metas']
        outs = head(self.student.extract_feat(batch['img']))
        matrices = view_to_view(img_metas, found.img_metas, batch['img'].device)
        weights = background_weights(head, found.cls_scores, matrices, [level.shape[-2:] for level in outs[0]])
        targets = (batch['gt_bboxes'], batch['gt_labels'], img_metas)
        with weighted_background(head, weights):
            return reduced(head.loss(*outs, *targets, gt_bboxes_ignore=batch.get('gt_bboxes_ignore')))

    # ------------------------------------------------------------------------------------------- names and figures

    def figures(self, labels: StrongLabels) -> dict[str, Tensor]:
        """Per image: candidates, pseudo boxes, whether it has one; mean candidate score, highest score.

        With ``ignore_score_thr`` also the ignored boxes per image, with thresholds per class their mean.
        """
        candidates, max_score = labels.found.candidates, labels.found.max_score
        scores = torch.cat([own.scores for own in candidates])
        counts = dict(
            num_pseudo_candidates=len(scores),
            num_pseudo_cls=sum(map(len, labels.boxes)),
            images_with_boxes=sum(len(own) > 0 for own in labels.boxes),
        )
        if labels.ignored is not None:
            counts['num_pseudo_ignored'] = sum(map(len, labels.ignored))
        figures = {name: max_score.new_full((), count / len(candidates)) for name, count in counts.items()}
        if isinstance(self.pseudo_filter, ClassThresholds):
            figures['pseudo_score_thr'] = self.pseudo_filter.thresholds().mean()
        return figures | dict(teacher_score=scores.sum() / max(len(scores), 1), teacher_max_score=max_score)

    def zero_figures(self) -> dict[str, Tensor]:
        """The same when there is no unlabeled image."""
        zero = next(self.student.parameters()).new_zeros(())
        none = PseudoLabels(zero.new_zeros(0, 4), zero.new_zeros(0).long(), zero.new_zeros(0))
        ignored = None if self.semi_train_cfg.ignore_score_thr is None else [none]
        return self.figures(StrongLabels([none], ignored, WeakView([], [none], zero, 0)))

    def taught_classes(self, labels: StrongLabels) -> Tensor:
        """Of the pseudo boxes."""
        return torch.cat([own.labels for own in labels.boxes])

    def pseudo_label_views(self, unsup_teacher: Batch, unsup_student: Batch) -> list[LabeledView]:
        """The weak view with all candidates, the strong view with the pseudo boxes."""
        strong = first_image(self.preprocess(unsup_student))
        weak = first_image(in_order_of(self.preprocess(unsup_teacher), unsup_student['img_metas']))
        found = self.find_pseudo_labels(weak)
        labels = self.project_pseudo_labels(found, strong)
        return [
            LabeledView(view['img'][0], view['img_metas'][0], own[0])
            for view, own in ((weak, found.candidates), (strong, labels.boxes))
        ]

    def why_no_pseudo_boxes(self, max_score: float) -> str:
        """Which step loses the boxes, and what may be changed."""
        if self.spread_filter is None or self.sieves['pseudo'].kept == 0:
            return self.sieves['pseudo'].cause('pseudo', self.pseudo_filter, self.semi_train_cfg, max_score)
        return self.sieves['spread'].cause('spread', self.spread_filter, self.semi_train_cfg, max_score)
