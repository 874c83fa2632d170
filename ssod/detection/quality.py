"""How good pseudo boxes are, measured against true boxes."""

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


@dataclass(frozen=True)
class Candidates:
    """n boxes that a model proposes as pseudo boxes, of all images of a data set.

    Attributes:
        image_ids: (n,) ids of COCO's ``images``.
        category_ids: (n,) ids of COCO's ``categories``.
        bboxes: (n, 4) xyxy in pixels of the original image.
        scores: (n,) class scores, in [0, 1].
        reg_variance: (n,) box regression variance (section 3.3), relative to the box size; None if nobody measured it.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    reg_variance: np.ndarray | None = None


@dataclass(frozen=True)
class Matches:
    """What the true boxes say about n candidates.

    Attributes:
        ious: (n,) IoU with the nearest true box of the same class in the image, crowds aside; 0 where there is none.
        is_tp: (n,) bool: matched to a true box of the same class.
        is_ignored: (n,) bool: matched to a crowd; neither right nor wrong.
        num_true: number of true boxes, crowds aside.
    """

    ious: np.ndarray
    is_tp: np.ndarray
    is_ignored: np.ndarray
    num_true: int


def match(candidates: Candidates, annotations: Sequence[dict], iou_thr: float = 0.5) -> Matches:
    """Match candidates and true boxes class by class as COCO's evaluation does.

    In order of score, each candidate takes the true box of highest IoU, at least ``iou_thr``, that none has taken; if
    there is none, a crowd of which at least ``iou_thr`` of the candidate's own area lies inside. What a candidate is
    depends on those of higher score alone: one matching serves all score thresholds.

    Args:
        annotations: true boxes as in a COCO file: ``image_id``, ``category_id``, ``bbox`` (xywh), ``iscrowd``.
    """
    boxes = [xyxy_to_xywh(box) for box in candidates.bboxes.astype(float)]
    columns = zip(candidates.image_ids, candidates.category_ids, boxes, candidates.scores, strict=True)
    proposed = [dict(zip(('image_id', 'category_id', 'bbox', 'score'), row, strict=True)) for row in columns]
    evaluation = COCOeval(iouType='bbox')
    evaluation.cocoGt, evaluation.cocoDt = indexed(annotations), indexed(proposed)
    with contextlib.redirect_stdout(io.StringIO()):
        both = [*annotations, *proposed]
        evaluation.params.imgIds = [box['image_id'] for box in both]
        evaluation.params.catIds = [box['category_id'] for box in both]
        evaluation.params.iouThrs = [iou_thr]
        evaluation.params.areaRng = [(0, np.inf)]
        evaluation.params.maxDets = [len(proposed)]
        evaluation.evaluate()
    is_tp, is_ignored = np.zeros((2, len(proposed)), dtype=bool)
    for pairs in filter(None, evaluation.evalImgs):
        index = np.array(pairs['dtIds'], dtype=int) - 1
        is_ignored[index] = pairs['dtIgnore'][0]
        is_tp[index] = (pairs['dtMatches'][0] > 0) & ~is_ignored[index]
    num_true = sum(not box.get('iscrowd') for box in annotations)
    return Matches(nearest_ious(proposed, annotations), is_tp, is_ignored, num_true)


def indexed(boxes: Sequence[dict]) -> COCO:
    """Boxes in COCO's form as its API wants them; ids count from 1, for its matching takes id 0 for "none".

    Of masks, ``segmentation`` as run lengths, it wants the images' sizes, too.
    """
    coco = COCO()
    masks = {box['image_id']: box['segmentation'] for box in boxes if isinstance(box.get('segmentation'), dict)}
    coco.dataset['images'] = [dict(id=image, height=m['size'][0], width=m['size'][1]) for image, m in masks.items()]
    coco.dataset['annotations'] = [
        {**box, 'id': number, 'area': box['bbox'][2] * box['bbox'][3], 'iscrowd': box.get('iscrowd', 0)}
        for number, box in enumerate(boxes, 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def nearest_ious(proposed: Sequence[dict], annotations: Sequence[dict]) -> np.ndarray:
    """(n,) highest IoU of each box with a true one of its image and class, crowds aside; 0 where there is none."""
    true = defaultdict(list)
    for box in annotations:
        if not box.get('iscrowd'):
            true[box['image_id'], box['category_id']].append(box['bbox'])
    ious = np.zeros(len(proposed))
    for i, box in enumerate(proposed):
        same = true[box['image_id'], box['category_id']]
        ious[i] = np.max(mask.iou([box['bbox']], same, [0] * len(same)), initial=0)
    return ious


def xyxy_to_xywh(box: Sequence[float]) -> list[float]:
    """One box, xyxy -> x, y, width, height."""
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def precision_recall(scores: np.ndarray, matches: Matches, thresholds: Sequence[float]) -> list[dict[str, float]]:
    """Precision and recall of the pseudo boxes that score above each threshold (Figure 3a).

    Returns:
        A row a threshold: ``threshold``, ``precision`` (nan without a box), ``recall`` (nan without a true box),
        ``number`` of pseudo boxes counted.
    """
    rows = []
    for threshold in thresholds:
        counted = (scores > threshold) & ~matches.is_ignored
        number, right = int(counted.sum()), int(matches.is_tp[counted].sum())
        precision = right / number if number else np.nan
        recall = right / matches.num_true if matches.num_true else np.nan
        rows.append(dict(threshold=threshold, precision=precision, recall=recall, number=number))
    return rows
