"""What a detector finds on an image for a person to correct, and how far student and teacher doubt it."""

from functools import partial
from typing import Any

import numpy as np
import torch
from mmdet.core import bbox_overlaps
from torch import nn

from ssod.core import TeacherStudent
from ssod.core.finding import Finding
from ssod.data.labels import LabelObject
from ssod.data.labels.masks import encode
from ssod.data.loader import test_batch
from ssod.hooks.evaluation import predicting_on

from .acts import TeacherView
from .heads import RoIStages
from .mean_teacher import WeakView
from .pseudo_labels import PseudoLabels
from .pseudo_labels.filters import JitterVarianceFilter
from .soft_teacher import SoftTeacher


@torch.no_grad()
def find(model: nn.Module, sample: dict, thresholds: dict[str, float]) -> Finding:
    """Objects on an image, and the doubts.

    Args:
        model: from :func:`ssod.apis.init_detector`; of a student and a teacher ``predict_on`` says who finds.
        sample: from :func:`ssod.apis.inference.read_image`.
        thresholds: of each class by name, the lowest score that counts.
    """
    data = test_batch(model, [sample])
    if not isinstance(model, TeacherStudent):
        return Finding(objects_of(model(return_loss=False, rescale=True, **data)[0], model.CLASSES, thresholds))
    found = {}
    for name in ('student', 'teacher'):
        with predicting_on(model, name):
            found[name] = objects_of(model(return_loss=False, rescale=True, **data)[0], model.CLASSES, thresholds)
    doubts = dict(disagreement=disagreement(found['student'], found['teacher']))
    if (variance := mean_variance(model, data, thresholds)) is not None:
        doubts['variance'] = variance
    return Finding(found[model.predict_on], None, doubts)


def objects_of(result: Any, classes: tuple[str, ...], thresholds: dict[str, float]) -> list[LabelObject]:
    """MMDetection's result, for each class an (n, 5) array, or these and masks, as objects, best first."""
    boxes, masks = result if isinstance(result, tuple) else (result, None)
    masks = masks[0] if isinstance(masks, tuple) else masks  # Mask Scoring R-CNN's come with their scores
    found = []
    for number, (name, rows) in enumerate(zip(classes, boxes, strict=True)):
        for i, (*xyxy, score) in enumerate(rows.tolist()):
            if score < thresholds[name] or xyxy[2] <= xyxy[0] or xyxy[3] <= xyxy[1]:
                continue
            mask = None if masks is None else encode(np.asarray(masks[number][i]))
            if masks is None or np.asarray(masks[number][i]).any():
                found.append(LabelObject(name, tuple(xyxy), score, mask))
    return sorted(found, key=lambda one: -one.score)


def disagreement(first: list[LabelObject], second: list[LabelObject]) -> float:
    """Share of two models' boxes that the other has not: 1 - F1 at an IoU of 0.5 of the same class; 0 of none."""
    total = len(first) + len(second)
    if not total:
        return 0.0
    overlaps = np.zeros((len(first), len(second)))
    if first and second:
        pair = (torch.tensor([one.xyxy for one in own]) for own in (first, second))
        overlaps = bbox_overlaps(*pair).numpy()
        overlaps *= np.array([[a.name == b.name for b in second] for a in first])
    matched = 0
    while overlaps.size and overlaps.max() >= 0.5:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        overlaps[row], overlaps[:, column] = 0, 0
        matched += 1
    return 1 - 2 * matched / total


def mean_variance(model: TeacherStudent, data: dict, thresholds: dict[str, float]) -> float | None:
    """Mean regression variance, at most 1 each, of the teacher's candidates above the thresholds; 0 without one.

    None of a method that measures none.
    """
    if not isinstance(model, SoftTeacher) and not hasattr(getattr(model, 'spread_filter', None), 'spread'):
        return None
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        torch.manual_seed(0)  # an image's figure does not depend on those before it
        found = model.find_pseudo_labels(dict(img=data['img'][0], img_metas=data['img_metas'][0]))
        candidates = with_variance(model, found)
    limits = candidates.scores.new_tensor([thresholds[name] for name in model.CLASSES])
    sure = candidates.reg_variance[candidates.scores >= limits[candidates.labels]].clamp(max=1)
    return float(sure.mean()) if len(sure) else 0.0


def with_variance(model: TeacherStudent, found: TeacherView | WeakView) -> PseudoLabels:
    """The candidates of the first image with their variance; of Soft Teacher also where no filter asks for it."""
    candidates = found.candidates[0]
    if candidates.reg_variance is not None or not isinstance(model, SoftTeacher):
        return candidates
    refine = partial(RoIStages(model.teacher).refine, found.features, found.img_metas)
    boxes, labels = [c.bboxes for c in found.candidates], [c.labels for c in found.candidates]
    return candidates.with_variance(JitterVarianceFilter().variance(refine, boxes, labels)[0])
