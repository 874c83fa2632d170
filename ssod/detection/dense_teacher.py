"""Dense Teacher (Zhou et al., Dense Teacher: Dense Pseudo-Labels for Semi-supervised Object Detection, ECCV 2022)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.models import DETECTORS
from mmdet.models.losses.iou_loss import giou_loss
from torch import Tensor
from torch.nn import functional as F

from ssod.core import Batch, SemiTrainCfg, check_choice, in_order_of
from ssod.core.errors import InputError
from ssod.core.settings import check_weight
from ssod.core.views import first_image

from .base import AnyHeadDetector
from .heads.dense import detect
from .heads.points import THIRD_LOSS, Points, kind_of, points_of
from .pseudo_labels import LabeledView, PseudoLabels


@dataclass
class DenseTeacherCfg(SemiTrainCfg):
    """``semi_train_cfg`` of Dense Teacher.

    Attributes:
        ratio: of all points of a batch, those that the student learns boxes and classes from: the teacher's surest.
        cls_weight: of the classification loss; 3 with 1 % of COCO's labels, 2 with all, in the authors' code.
        box_weight, quality_weight: of the box loss, and of the loss of centerness or of the distribution of sides.
        box_factor: 'one', or 'mean_quality': the box loss times the mean of the teacher's centerness, before the
            sigmoid, on the chosen points. The authors' code comes to this by the shapes of what it multiplies; the
            factor may be negative.
    """

    ratio: float = 0.01
    cls_weight: float = 4.0
    box_weight: float = 1.0
    quality_weight: float = 1.0
    box_factor: str = 'one'

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.ratio <= 1:
            raise ValueError(f'semi_train_cfg.ratio is a share of the points, above 0 and up to 1, got {self.ratio}')
        for name in ('cls_weight', 'box_weight', 'quality_weight'):
            check_weight(f'semi_train_cfg.{name}', getattr(self, name))
        check_choice('semi_train_cfg.box_factor', self.box_factor, ('one', 'mean_quality'))


NO_BOXES = 'nothing: Dense Teacher learns from points, without thresholds'
HINTS = dict.fromkeys(('pseudo_filter', 'cls_filter', 'candidate_score_thr', 'empty_weight'), NO_BOXES)


class DenseLabels(NamedTuple):
    """What the teacher says of the k points that the student learns from.

    Attributes:
        chosen: (k,) int64, rows of the batch's N points.
        scores: (k, C) class probabilities.
        bboxes: (k, 4), xyxy in pixels of the view.
        quality: (k,) centerness before the sigmoid, or None.
        sides: (k, 4, bins) of GFL before the softmax, or None.
    """

    chosen: Tensor
    scores: Tensor
    bboxes: Tensor
    quality: Tensor | None
    sides: Tensor | None


class DenseView(NamedTuple):
    """The teacher's points in the weak views of B images, padded to (H, W)."""

    points: Points
    img_metas: list[dict]
    padded: tuple[int, int]


@DETECTORS.register_module()
class DenseTeacher(AnyHeadDetector):
    """Dense Teacher over FCOS, ATSS or GFL: raw outputs of the teacher are the student's labels, point by point.

    Both views have the same geometry, so a point of one is that point of the other: no boxes, no NMS, no thresholds, no
    assignment. The pipeline forks after resizing and flipping.

    ``semi_train_cfg`` takes the keys of :class:`DenseTeacherCfg`.

    Raises:
        TypeError: another head. ValueError: a setting that is not known or does not fit.
    """

    Settings = DenseTeacherCfg
    hints = HINTS
    needs_same_geometry = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.third_loss = THIRD_LOSS[kind_of(self.student)]
        if self.semi_train_cfg.box_factor == 'mean_quality' and self.third_loss == 'loss_dfl':
            raise ValueError("DenseTeacher: GFL has no centerness: set semi_train_cfg.box_factor='one'")

    @torch.no_grad()
    def find_pseudo_labels(self, teacher_batch: Batch) -> DenseView:
        """Act 2: the teacher's outputs at all points of the weak view."""
        img = teacher_batch['img']
        return DenseView(points_of(self.teacher, img), teacher_batch['img_metas'], tuple(img.shape[-2:]))

    @torch.no_grad()
    def project_pseudo_labels(self, found: DenseView, student_batch: Batch) -> DenseLabels:
        """Act 3: the surest points, which are where they are in the strong view, too."""
        refuse_unequal(found, student_batch)
        return choose(found.points, self.semi_train_cfg.ratio)

    def unsupervised_losses(self, student_batch: Batch, labels: DenseLabels) -> dict[str, Tensor]:
        """Act 4: quality focal loss at all points; box and quality losses at the chosen ones."""
        cfg, points = self.semi_train_cfg, points_of(self.student, student_batch['img'])
        factor = labels.quality.mean() if cfg.box_factor == 'mean_quality' else 1.0
        return {
            'loss_cls': cfg.cls_weight * cls_loss(points.logits, labels),
            'loss_bbox': cfg.box_weight * factor * giou_loss(points.bboxes[labels.chosen], labels.bboxes),
            self.third_loss: cfg.quality_weight * quality_loss(points, labels),
        }

    # ------------------------------------------------------------------------------------------- names and figures

    def figures(self, labels: DenseLabels) -> dict[str, Tensor]:
        """Points that the student learns from, in the batch; mean and highest of their class scores."""
        best = labels.scores.amax(dim=1)
        return dict(zip(FIGURES, (best.new_full((), len(best)), best.mean(), best.max()), strict=True))

    def zero_figures(self) -> dict[str, Tensor]:
        """The same when there is no unlabeled image."""
        return dict.fromkeys(FIGURES, next(self.student.parameters()).new_zeros(()))

    def pseudo_label_views(self, unsup_teacher: Batch, unsup_student: Batch) -> list[LabeledView]:
        """The weak view with the teacher's detections, the strong view with the boxes of the chosen points."""
        strong = first_image(self.preprocess(unsup_student))
        weak = first_image(in_order_of(self.preprocess(unsup_teacher), unsup_student['img_metas']))
        chosen = self.project_pseudo_labels(self.find_pseudo_labels(weak), strong)
        boxes = PseudoLabels(chosen.bboxes, chosen.scores.argmax(dim=1), chosen.scores.amax(dim=1))
        detected = detect(self.teacher, weak['img'], weak['img_metas']).labels[0]
        return [
            LabeledView(view['img'][0], view['img_metas'][0], labels)
            for view, labels in ((weak, detected), (strong, boxes))
        ]

    def why_no_pseudo_boxes(self, max_score: float) -> str:
        """That there are always points."""
        return f'Dense Teacher takes the surest points whatever their scores, the highest is {max_score:.2f}'


FIGURES = ('num_pseudo_cls', 'teacher_score', 'teacher_max_score')


def refuse_unequal(found: DenseView, student_batch: Batch) -> None:
    """Refuse views of different geometry.

    Raises:
        InputError: an image's views differ in their matrices, or the batches in their size.
    """
    pairs = zip(found.img_metas, student_batch['img_metas'], strict=True)
    same = all(np.allclose(weak['transform_matrix'], strong['transform_matrix']) for weak, strong in pairs)
    if not same or found.padded != tuple(student_batch['img'].shape[-2:]):
        raise InputError(
            'DenseTeacher needs the same geometry in both views of an image: put ResizeWithMatrix and FlipWithMatrix '
            'before MultiBranch, and no op into it that moves pixels'
        )


def choose(points: Points, ratio: float) -> DenseLabels:
    """The ``ratio`` of all points with the highest class scores, at least one."""
    scores = points.logits.sigmoid()
    best = scores.amax(dim=1)
    chosen = best.topk(max(int(len(best) * ratio), 1)).indices
    return DenseLabels(
        chosen,
        scores[chosen],
        points.bboxes[chosen],
        None if points.quality is None else points.quality[chosen],
        None if points.sides is None else points.sides[chosen],
    )


def cls_loss(logits: Tensor, labels: DenseLabels) -> Tensor:
    """Quality focal loss of all N points: ``sum |T - p|^2 BCE(p, T) / S``.

    T is the teacher's scores on the chosen points and 0 elsewhere, S the sum of the chosen points' highest scores.

    Args:
        logits: (N, C), the student's.
        labels: of k of these points.
    """
    target = torch.zeros_like(logits)
    target[labels.chosen] = labels.scores
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    total = labels.scores.amax(dim=1).sum().clamp(min=torch.finfo(logits.dtype).eps)
    return (losses * (target - logits.sigmoid()).square()).sum() / total


def quality_loss(points: Points, labels: DenseLabels) -> Tensor:
    """Mean over the chosen points: cross entropy of centerness, or of GFL's sides with the teacher's distribution."""
    if labels.sides is not None:
        sides = points.sides[labels.chosen].flatten(0, 1)
        return F.cross_entropy(sides, labels.sides.flatten(0, 1).softmax(dim=-1))
    return F.binary_cross_entropy_with_logits(points.quality[labels.chosen], labels.quality.sigmoid())
