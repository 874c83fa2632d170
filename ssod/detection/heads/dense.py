"""What a mean teacher asks of a detector, whichever heads it has: whether it fits, and what it detects in a view."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from mmdet.models import YOLOX, PAAHead, TOODHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from torch import Tensor, nn

from ..pseudo_labels import PseudoLabels

# Score from which a detection is a pseudo box, by the class of the head or its nearest base: scores of different heads
# are different things. RetinaNet, FCOS, TOOD and two stages have MixPL's (arXiv 2312.07006); the others are ours.
SCORE_THR = {
    'RetinaHead': 0.4,  # class score
    'FCOSHead': 0.3,  # class score x centerness
    'ATSSHead': 0.3,  # class score x centerness
    'PAAHead': 0.4,  # class score x predicted IoU, voted
    'GFLHead': 0.4,  # the class score is the predicted IoU
    'VFNetHead': 0.4,  # likewise
    'TOODHead': 0.4,  # likewise
    'YOLOXHead': 0.5,  # class score x objectness
    'BBoxHead': 0.7,  # softmax of a second stage
}


def box_head_of(detector: nn.Module) -> nn.Module | None:
    """The head that scores boxes: a dense head, or that of the RoI head's last stage; None without either."""
    head = getattr(getattr(detector, 'roi_head', None) or detector, 'bbox_head', None)
    return head[-1] if isinstance(head, nn.ModuleList) else head


def default_score_thr(head: type[nn.Module]) -> float:
    """From which score on a detection of this class of head is a pseudo box.

    Raises:
        ValueError: a kind of head that the table does not know.

    Examples:
        >>> from mmdet.models import FSAFHead  # a RetinaHead
        >>> default_score_thr(FSAFHead)
        0.4
    """
    for kind in head.__mro__:
        if kind.__name__ in SCORE_THR:
            return SCORE_THR[kind.__name__]
    raise ValueError(
        f'no score threshold is known for a {head.__name__}: set '
        "semi_train_cfg.pseudo_filter=dict(type='ScoreFilter', thr=...)"
    )


def refuse_untrainable(detector: nn.Module) -> None:
    """Raise a TypeError or ValueError for a detector that a mean teacher cannot train, saying what to do."""
    name, head = type(detector).__name__, box_head_of(detector)
    two_stage = getattr(detector, 'with_rpn', False) and head is not None
    if not two_stage and not (hasattr(head, 'loss') and hasattr(head, 'get_bboxes')):
        raise TypeError(f'MeanTeacher needs a dense head with loss and get_bboxes, or two stages; {name} has neither')
    if getattr(detector, 'with_mask', False):
        raise TypeError(f'MeanTeacher trains boxes alone; {name} has a mask head: leave it out')
    if isinstance(detector, YOLOX):
        refuse_resizing(detector)
    if isinstance(head, TOODHead) and head.initial_epoch > 0:
        raise ValueError(
            f'train_cfg.initial_epoch={head.initial_epoch} counts epochs and training counts iterations, so that the '
            'first assigner would stay: set model.detector.train_cfg.initial_epoch=0'
        )
    if isinstance(head, PAAHead) and find_spec('sklearn') is None:
        raise ValueError('PAA fits mixtures by a package that is not installed: pip install scikit-learn')


def refuse_resizing(detector: YOLOX) -> None:
    """Refuse a YOLOX that resizes batches itself: it would stretch views that are not of its one size."""
    low, high = detector._random_size_range
    size = detector._default_input_size
    if low != high or low * detector._size_multiplier != size[0]:
        wanted = size[0] // detector._size_multiplier
        raise ValueError(
            f'YOLOX resizes its batches to {tuple(size)} and others, the views are resized by their pipelines '
            f'(train_scale): set model.detector.random_size_range=({wanted}, {wanted})'
        )


def assigners(detector: nn.Module) -> Iterator[Any]:
    """The assigners of a detector's heads."""
    for module in detector.modules():
        for name in ('assigner', 'initial_assigner', 'alignment_assigner', 'bbox_assigner'):
            found = vars(module).get(name)
            yield from found if isinstance(found, list) else [found] * (found is not None)


def can_ignore(detector: nn.Module) -> bool:
    """Whether each of the detector's heads leaves boxes of ``gt_bboxes_ignore`` out of its losses."""
    found = list(assigners(detector))
    return bool(found) and all(getattr(each, 'ignore_iof_thr', -1) > 0 for each in found)


def shows_predictions(detector: nn.Module) -> bool:
    """Whether a detector's dense head gives its boxes before NMS, as MMDetection's ``BaseDenseHead`` does."""
    head = getattr(detector, 'bbox_head', None)
    return getattr(type(head), 'get_bboxes', None) is BaseDenseHead.get_bboxes


class Spread(Protocol):
    """How far predictions around a detection disagree; see ``PredictionSpreadFilter``."""

    def __call__(self, candidates: PseudoLabels, predictions: PseudoLabels) -> Tensor:
        """(n,) for n candidates."""


class Detections(NamedTuple):
    """What a detector finds in the views of B images.

    Attributes:
        labels: of each image, boxes in pixels of its view.
        cls_scores: class scores before the sigmoid, (B, A * C, H, W) of each level of a dense head; None of two stages.
    """

    labels: list[PseudoLabels]
    cls_scores: list[Tensor] | None


def detect(detector: nn.Module, img: Tensor, img_metas: list[dict], spread: Spread | None = None) -> Detections:
    """What a detector finds by its own ``test_cfg``.

    Args:
        detector: in eval mode.
        img: (B, 3, H, W).
        img_metas: of the B views.
        spread: measures ``reg_variance`` on the predictions before NMS, for which the detector must fit
            (:func:`shows_predictions`).
    """
    if getattr(detector, 'roi_head', None) is not None:
        found = detector.simple_test(img, img_metas, rescale=False)
        return Detections([from_arrays(own, img.device) for own in found], None)
    head = detector.bbox_head
    outs = head(detector.extract_feat(img))
    labels = [from_detections(*own) for own in head.get_bboxes(*outs, img_metas=img_metas)]
    if spread is not None:
        raw = head.get_bboxes(*outs, img_metas=img_metas, with_nms=False)
        predictions = [PseudoLabels(bboxes, classes, scores) for bboxes, scores, classes in raw]
        labels = [own.with_variance(spread(own, near)) for own, near in zip(labels, predictions, strict=True)]
    return Detections(labels, list(outs[0]))


def from_detections(dets: Tensor, labels: Tensor) -> PseudoLabels:
    """Detections (n, 5), xyxy and score, and (n,) labels; YOLOX gives (0, 4) where it has none."""
    return PseudoLabels(dets[:, :4], labels, dets[:, 4:].reshape(-1))


def from_arrays(found: list[np.ndarray], device: torch.device) -> PseudoLabels:
    """MMDetection's result of an image, for each class an (n, 5) array."""
    labels = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
    dets = torch.from_numpy(np.concatenate(found)).to(device)
    return from_detections(dets, torch.from_numpy(labels).to(device))
