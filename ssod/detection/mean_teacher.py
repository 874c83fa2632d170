"""The plain mean teacher of detection: the teacher's boxes are the student's labels, whichever heads they have."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from mmdet.models import DETECTORS
from mmdet.models.builder import MODELS
from torch import Tensor

from ssod.core import Batch, SemiTrainCfg, in_order_of, view_to_view
from ssod.core.errors import InputError
from ssod.core.settings import check_weight
from ssod.core.teacher_student import reduced
from ssod.core.views import first_image

from .base import SemiBaseDetector
from .dry_run import loss_names_of
from .heads.dense import default_score_thr, detect, refuse_untrainable
from .pseudo_labels import LabeledView, PseudoLabels
from .pseudo_labels.sieve import Sieve


@dataclass
class MeanTeacherCfg(SemiTrainCfg):
    """``semi_train_cfg`` of the mean teacher.

    Attributes:
        candidate_score_thr: score from which a teacher's detection is a candidate. Detections are those of the
            detector's ``test_cfg``.
        pseudo_filter: which candidates the student learns from; see ``ssod.detection.pseudo_labels``. None: a
            ``ScoreFilter`` with the threshold of the head, for scores of different heads are different things
            (:data:`ssod.detection.heads.dense.SCORE_THR`).
        min_pseudo_bbox_size: boxes of at most this width or height, in pixels of either view, are dropped.
        empty_weight: factor of the unlabeled images' losses in a batch of which fewer than half have a pseudo box
            (Consistent-Teacher, Wang et al., CVPR 2023): a dense head takes an image without boxes for pure background.
            1: none, as in MMDetection 3.
    """

    candidate_score_thr: float = 0.05
    pseudo_filter: dict | None = None
    min_pseudo_bbox_size: float = 0
    empty_weight: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.candidate_score_thr <= 1:
            raise ValueError(f'semi_train_cfg.candidate_score_thr is in [0, 1], got {self.candidate_score_thr}')
        check_weight('semi_train_cfg.empty_weight', self.empty_weight)


# Names of the same settings in MMDetection 3 and in Soft Teacher.
HINTS = {
    'cls_pseudo_thr': "pseudo_filter=dict(type='ScoreFilter', thr=...)",
    'pseudo_label_initial_score_thr': 'candidate_score_thr',
    'min_pseudo_bbox_wh': 'min_pseudo_bbox_size, one number for width and height',
    'cls_filter': 'pseudo_filter: boxes and classes learn from the same pseudo boxes',
    'rpn_filter': 'pseudo_filter: all heads learn from the same pseudo boxes',
    'reg_filter': 'pseudo_filter: boxes and classes learn from the same pseudo boxes',
}


class WeakView(NamedTuple):
    """What the teacher finds on the weak views of B images.

    Attributes:
        img_metas: of the weak views.
        candidates: of each image, boxes in the weak view.
        max_score: the highest score of a detection, a scalar.
        detected: detections on all images, those of ``min_pseudo_bbox_size`` and less included.
    """

    img_metas: list[dict]
    candidates: list[PseudoLabels]
    max_score: Tensor
    detected: int


class StrongLabels(NamedTuple):
    """The pseudo boxes in the strong views of B images, and where they come from."""

    boxes: list[PseudoLabels]
    found: WeakView


@DETECTORS.register_module()
class MeanTeacher(SemiBaseDetector):
    """A mean teacher over any detector of MMDetection with a dense head, or with two stages.

    The teacher's detections on the weak view, those that ``pseudo_filter`` keeps, are moved to the strong view, where
    the student learns from them by its own losses. For two-stage detectors it is the plain baseline of
    :class:`ssod.detection.SoftTeacher`.

    ``semi_train_cfg`` takes the keys of :class:`MeanTeacherCfg`. Dense heads exchange counts between processes inside
    their losses: with several processes each batch needs labeled and unlabeled images.

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
    needs_both_sources = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        refuse_untrainable(self.student)
        cfg = self.semi_train_cfg
        default = cfg.pseudo_filter or dict(type='ScoreFilter', thr=default_score_thr(self.student))
        self.pseudo_filter = MODELS.build(default)
        self.sieve = Sieve()
        self._loss_names: tuple[str, ...] = ()

    def forward_train(
        self, sup: Batch | None = None, unsup_teacher: Batch | None = None, unsup_student: Batch | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch; see :meth:`ssod.core.SemiModel.forward_train`.

        Raises:
            InputError: several processes, and this one lacks labeled or unlabeled images.
        """
        refuse_lonely(sup, unsup_student)
        self.loss_names()  # on all processes at the same time, for it may exchange counts
        return super().forward_train(sup, unsup_teacher, unsup_student)

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Act 1: the student's ordinary losses on the labeled images."""
        return self.student_losses(batch)

    def student_losses(self, batch: Batch) -> dict[str, Tensor]:
        """The student's own losses of a batch with boxes, all of their names, summed over feature levels."""
        losses = reduced(self.student.forward_train(**batch) or {})  # MMDetection gives None without a valid anchor
        return losses if len(losses) == len(self.loss_names()) else {**self.zero_losses(), **losses}

    # ------------------------------------------------------------------------------- act 2: the teacher's labels

    @torch.no_grad()
    def find_pseudo_labels(self, teacher_batch: Batch) -> WeakView:
        """What the teacher detects on the weak view above ``candidate_score_thr``."""
        cfg, img_metas = self.semi_train_cfg, teacher_batch['img_metas']
        found = detect(self.teacher, teacher_batch['img'], img_metas)
        scores = torch.cat([own.scores for own in found])
        max_score = scores.max() if len(scores) else scores.new_zeros(())
        found = [own[own.scores > cfg.candidate_score_thr] for own in found]
        candidates = [own.larger_than(cfg.min_pseudo_bbox_size) for own in found]
        return WeakView(img_metas, candidates, max_score, sum(map(len, found)))

    # --------------------------------------------------------------------- act 3: their place in the strong view

    def project_pseudo_labels(self, found: WeakView, student_batch: Batch) -> StrongLabels:
        """The candidates that ``pseudo_filter`` keeps, in the strong view."""
        metas = student_batch['img_metas']
        matrices = view_to_view(found.img_metas, metas, found.max_score.device)
        kept = [own[self.pseudo_filter(own)] for own in found.candidates]
        boxes = [
            own.project(matrix, meta['img_shape']).larger_than(self.semi_train_cfg.min_pseudo_bbox_size)
            for own, matrix, meta in zip(kept, matrices, metas, strict=True)
        ]
        self.sieve.add(found.detected, found.candidates, sum(map(len, kept)), sum(map(len, boxes)))
        return StrongLabels(boxes, found)

    # ------------------------------------------------------------------------------ act 4: the student's losses

    def unsupervised_losses(self, student_batch: Batch, labels: StrongLabels) -> dict[str, Tensor]:
        """The student's own losses against the pseudo boxes; fewer than half of the images with one: by little."""
        batch = {key: student_batch[key] for key in ('img', 'img_metas')}
        boxes = dict(gt_bboxes=[own.bboxes for own in labels.boxes], gt_labels=[own.labels for own in labels.boxes])
        losses = self.student_losses({**batch, **boxes})
        with_boxes = sum(len(own) > 0 for own in labels.boxes)
        weight = self.semi_train_cfg.empty_weight if 2 * with_boxes < len(labels.boxes) else 1.0
        return {name: value * weight if 'loss' in name else value for name, value in losses.items()}

    # ------------------------------------------------------------------------------------------- names and figures

    def loss_names(self) -> tuple[str, ...]:
        """What the student calls its losses and measures: asked of it once."""
        if not self._loss_names:
            self._loss_names = loss_names_of(self.student)
        return self._loss_names

    def figures(self, labels: StrongLabels) -> dict[str, Tensor]:
        """Means per image of candidates and pseudo boxes, images with one, mean candidate score, highest score."""
        candidates, max_score = labels.found.candidates, labels.found.max_score
        images = len(labels.boxes)
        counts = [
            max_score.new_full((), count / images)
            for count in (
                sum(map(len, candidates)),
                sum(map(len, labels.boxes)),
                sum(len(own) > 0 for own in labels.boxes),
            )
        ]
        scores = torch.cat([own.scores for own in candidates])
        mean_score = scores.sum() / max(len(scores), 1)
        return dict(zip(FIGURES, (*counts, mean_score, max_score), strict=True))

    def zero_figures(self) -> dict[str, Tensor]:
        """The same when there is no unlabeled image."""
        return dict.fromkeys(FIGURES, next(self.student.parameters()).new_zeros(()))

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
        return self.sieve.cause('pseudo', self.pseudo_filter, self.semi_train_cfg, max_score)


FIGURES = ('num_pseudo_candidates', 'num_pseudo_cls', 'images_with_boxes', 'teacher_score', 'teacher_max_score')


def refuse_lonely(sup: Batch | None, unsup_student: Batch | None) -> None:
    """Refuse, where there are several processes, a batch without labeled or without unlabeled images.

    Raises:
        InputError: it is one; the other processes would wait for this one's counts.
    """
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    if several and torch.distributed.get_world_size() > 1 and not (sup and unsup_student):
        raise InputError(
            'dense heads exchange counts between processes inside their losses, so that each batch of each process '
            'needs labeled and unlabeled images: set data.sampler.at_least_one=True'
        )
