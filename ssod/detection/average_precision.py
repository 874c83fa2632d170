"""COCO's average precision of samples of the images, from one matching."""

import contextlib
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools.cocoeval import COCOeval

from .quality import indexed


class RankedDetections(NamedTuple):
    """The n detections of one class, best score first, as T IoU thresholds judge them.

    Attributes:
        images: (n,) index of each one's image.
        right: (T, n) bool: matched to a true box.
        wrong: (T, n) bool: matched to nothing; neither right nor wrong is what lies on a crowd.
        num_true: (images,) true boxes, crowds aside.
    """

    images: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    num_true: np.ndarray


class ResampledAP:
    """AP of each class, over IoU 0.5 to 0.95, as a function of how often each image counts.

    pycocotools matches once; what it accumulates is accumulated here for each sample. An image that counts k times
    gives what COCO's evaluation gives if the image is there k times, detections of exactly equal score aside.

    Args:
        annotations: true boxes as in a COCO file, or masks: with ``segmentation`` as run lengths.
        detections: the same with ``score``.
        image_ids, category_ids: in the order of the counts and of the classes.
        iou_type: 'bbox' or 'segm', what is matched.
    """

    def __init__(
        self,
        annotations: Sequence[dict],
        detections: Sequence[dict],
        image_ids: Sequence[int],
        category_ids: Sequence[int],
        iou_type: str = 'bbox',
    ) -> None:
        evaluation = COCOeval(iouType=iou_type)
        evaluation.cocoGt, evaluation.cocoDt = indexed(annotations), indexed(detections)
        params = evaluation.params
        params.imgIds, params.catIds = list(image_ids), list(category_ids)
        params.areaRng, params.areaRngLbl = params.areaRng[:1], params.areaRngLbl[:1]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
        self.recalls = params.recThrs
        order = {image: index for index, image in enumerate(image_ids)}
        found: dict[int, list[dict]] = {category: [] for category in category_ids}
        for pairs in filter(None, evaluation.evalImgs):
            found[pairs['category_id']].append(pairs)
        self.classes = [ranked(found[category], order, len(params.iouThrs)) for category in category_ids]

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """(C,) AP in [0, 1], nan for a class without a true box.

        Args:
            counts: (images,) integers.
        """
        return np.array([average_precision(own, counts, self.recalls) for own in self.classes])


def ranked(found: list[dict], order: dict[int, int], num_thresholds: int) -> RankedDetections:
    """One class's entries of ``COCOeval.evalImgs`` as arrays; ``order`` numbers the images."""
    num_true = np.zeros(len(order), dtype=int)
    for pairs in found:
        num_true[order[pairs['image_id']]] = np.sum(~np.asarray(pairs['gtIgnore'], dtype=bool))
    none = np.zeros((num_thresholds, 0), dtype=bool)
    scores = np.concatenate([np.zeros(0), *(pairs['dtScores'] for pairs in found)])
    images = np.repeat([order[pairs['image_id']] for pairs in found], [len(pairs['dtScores']) for pairs in found])
    matched = np.concatenate([none, *(pairs['dtMatches'] > 0 for pairs in found)], axis=1)
    ignored = np.concatenate([none, *(pairs['dtIgnore'].astype(bool) for pairs in found)], axis=1)
    best_first = np.argsort(-scores, kind='mergesort')  # as pycocotools does
    right, wrong = (matched & ~ignored)[:, best_first], (~matched & ~ignored)[:, best_first]
    # What comes after the last right one changes no precision at a recall that is reached.
    end = np.flatnonzero(right.any(axis=0)).max(initial=-1) + 1
    return RankedDetections(images.astype(int)[best_first][:end], right[:, :end], wrong[:, :end], num_true)


def average_precision(own: RankedDetections, counts: np.ndarray, recalls: np.ndarray) -> float:
    """Mean over IoU thresholds and recalls of the highest precision at that recall or above; nan without true boxes."""
    num_true = int(counts @ own.num_true)
    if num_true == 0:
        return np.nan
    weights = counts[own.images]
    right, wrong = np.cumsum(own.right * weights, axis=1), np.cumsum(own.wrong * weights, axis=1)
    precision = right / (right + wrong + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total = 0.0
    for recall, best in zip(right / num_true, precision, strict=True):
        places = np.searchsorted(recall, recalls, side='left')
        total += best[places[places < len(best)]].sum()
    return total / (len(own.right) * len(recalls))
