"""A closer look at detections: AP, precision and recall of each class, what is taken for what, the images."""

import os.path as osp
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmdet.core.visualization import imshow_det_bboxes
from mmdet.datasets import CocoDataset
from pycocotools import mask as rle

from ssod.core.examination import THRESHOLDS, Curve, Examination, Examiner, rounded
from ssod.core.measures import LabelQuality

from .measures import BoxMeasures, MaskMeasures, detected, true_boxes
from .quality import Candidates, Matches, match, precision_recall

IOU = 0.5
TRUTH = (80, 175, 76)
FOUND = (0, 110, 245)
READABLE = 360  # pixels of the longer side, for names in it to be read


class BoxExaminer(Examiner):
    """Boxes; of masks the AP is that of the masks, all else goes by their boxes.

    Args:
        measures: whose metric is the classes'.
    """

    def __init__(self, measures: BoxMeasures) -> None:
        self.measures = measures

    def examine(self, dataset: CocoDataset, results: Sequence[Any]) -> Examination:
        """See :class:`Examiner`. Right is what COCO's matching at IoU 0.5 calls so."""
        annotations, rows = true_boxes(dataset), detected(dataset, results)
        found = candidates(rows)
        matches = match(found, annotations, IOU)
        curves, counts = curves_of(dataset, annotations, found, matches)
        threshold = best_of_all(found, matches)
        scores = self.measures.class_scores(dataset, results)(np.ones(len(dataset), dtype=int))
        return Examination(
            label=self.measures.label,
            classes=list(dataset.CLASSES),
            class_scores=rounded(scores),
            class_counts=counts,
            curves=curves,
            confusion=confusion(dataset, annotations, rows, threshold).tolist(),
            confusion_thr=threshold,
            image_score=f'F1 at score {threshold:g}',
            images=[info['filename'] for info in dataset.data_infos],
            image_scores=rounded(f1_of_images(dataset, annotations, found, matches, threshold)),
        )

    def label_quality(self, dataset: CocoDataset, results: Sequence[Any], threshold: float) -> LabelQuality:
        """See :meth:`BoxMeasures.label_quality`."""
        return self.measures.label_quality(dataset, results, [threshold])[0]

    def draw(self, dataset: CocoDataset, place: int, result: Any, threshold: float) -> np.ndarray:
        """True boxes and masks at the left, detections at the right."""
        info = dataset.data_infos[place]
        image = mmcv.imread(osp.join(dataset.img_prefix or '', info['filename']))
        own = true_boxes_of(dataset, place)
        masks = [dataset.coco.annToMask(box) for box in own if box.get('segmentation')]
        truth = np.array([corners(box['bbox']) for box in own], np.float32).reshape(-1, 4)
        labels = np.array([dataset.cat2label[box['category_id']] for box in own], int)
        with_masks = isinstance(result, tuple) and len(masks) == len(own)
        left = paint(image, truth, labels, np.array(masks, bool) if with_masks and masks else None, dataset, TRUTH, 0)
        return np.concatenate([left, draw_found(image, result, dataset, threshold)], axis=1)


def candidates(rows: Sequence[dict]) -> Candidates:
    """COCO's result rows as arrays."""
    boxes = np.array([row['bbox'] for row in rows], dtype=float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    images, categories, scores = (np.array([row[key] for row in rows]) for key in ('image_id', 'category_id', 'score'))
    return Candidates(images, categories, boxes, scores.astype(float))


def curves_of(
    dataset: CocoDataset, annotations: Sequence[dict], found: Candidates, matches: Matches
) -> tuple[list[Curve], list[int]]:
    """Precision and recall of each class at each threshold, and its number of true boxes, crowds aside."""
    curves, counts = [], []
    for category in dataset.cat_ids:
        own = found.category_ids == category
        number = sum(box['category_id'] == category and not box.get('iscrowd') for box in annotations)
        part = Matches(matches.ious[own], matches.is_tp[own], matches.is_ignored[own], number)
        rows = precision_recall(found.scores[own], part, THRESHOLDS)
        precision = rounded(np.array([row['precision'] for row in rows]))
        recall = np.nan_to_num(np.array([row['recall'] for row in rows]))
        curves.append(Curve(precision, [round(float(value), 4) for value in recall]))
        counts.append(number)
    return curves, counts


def best_of_all(found: Candidates, matches: Matches) -> float:
    """The threshold of the highest F1 over all classes together; 0.5 where nothing is right."""
    rows = precision_recall(found.scores, matches, THRESHOLDS)
    curve = Curve([None if np.isnan(r['precision']) else r['precision'] for r in rows], [r['recall'] for r in rows])
    best = curve.best()
    return best[0] if best else 0.5


def f1_of_images(
    dataset: CocoDataset, annotations: Sequence[dict], found: Candidates, matches: Matches, threshold: float
) -> np.ndarray:
    """(images,) F1 of what scores above the threshold; nan for an image without true box and detection."""
    place = {image: i for i, image in enumerate(dataset.img_ids)}
    number = len(place)
    true = np.bincount([place[b['image_id']] for b in annotations if not b.get('iscrowd')], minlength=number)
    counted = (found.scores > threshold) & ~matches.is_ignored
    where = np.array([place[image] for image in found.image_ids], int)
    taken = np.bincount(where[counted], minlength=number)
    right = np.bincount(where[counted & matches.is_tp], minlength=number)
    with np.errstate(invalid='ignore'):
        return 2 * right / (true + taken)


def confusion(dataset: CocoDataset, annotations: Sequence[dict], rows: Sequence[dict], threshold: float) -> np.ndarray:
    """(C + 1, C + 1) counts: true class by class found at IoU 0.5, whatever the class; the last is nothing.

    In order of score each detection takes the free true box of highest IoU; what lies in a crowd counts neither way.
    """
    label = {category: i for i, category in enumerate(dataset.cat_ids)}
    true, found = defaultdict(list), defaultdict(list)
    for box in annotations:
        true[box['image_id']].append(box)
    for row in rows:
        if row['score'] > threshold:
            found[row['image_id']].append(row)
    nothing = len(label)
    table = np.zeros((nothing + 1, nothing + 1), int)
    for image in dataset.img_ids:
        for first, second in pairs_of(true[image], sorted(found[image], key=lambda row: -row['score'])):
            table[nothing if first is None else label[first], nothing if second is None else label[second]] += 1
    return table


def pairs_of(true: list[dict], found: list[dict]) -> list[tuple[int | None, int | None]]:
    """(true, found) category of each match of an image; None: nothing there, or nothing found."""
    crowd = [int(box.get('iscrowd', 0)) for box in true]
    pairs, free = [], [not one for one in crowd]
    ious = rle.iou([row['bbox'] for row in found], [box['bbox'] for box in true], crowd) if true and found else None
    for number, row in enumerate(found):
        own = np.zeros(0) if ious is None else np.where(free, ious[number], -1)
        if len(own) and own.max() >= IOU:
            place = int(own.argmax())
            free[place] = False
            pairs.append((true[place]['category_id'], row['category_id']))
        elif ious is None or not any(c and iou >= IOU for c, iou in zip(crowd, ious[number], strict=True)):
            pairs.append((None, row['category_id']))
    return pairs + [(box['category_id'], None) for box, is_free in zip(true, free, strict=True) if is_free]


def true_boxes_of(dataset: CocoDataset, place: int) -> list[dict]:
    """COCO's annotations of the set's classes on one of its images."""
    boxes = dataset.coco.imgToAnns[dataset.img_ids[place]]
    return [box for box in boxes if box['category_id'] in dataset.cat2label]


def draw_found(image: np.ndarray, result: Any, dataset: CocoDataset, threshold: float) -> np.ndarray:
    """The detections above a score on their image."""
    boxes, masks = result if isinstance(result, tuple) else (result, None)
    masks = masks[0] if isinstance(masks, tuple) else masks  # Mask Scoring R-CNN's come with their scores
    labels = np.repeat(np.arange(len(boxes)), [len(rows) for rows in boxes])
    rows = np.concatenate(boxes) if len(boxes) else np.zeros((0, 5), np.float32)
    flat = [one for own in masks for one in own] if masks is not None else []
    flat = [rle.decode(one) if isinstance(one, dict) else one for one in flat]
    return paint(image, rows, labels, np.array(flat, bool) if flat else None, dataset, FOUND, threshold)


def paint(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    masks: np.ndarray | None,
    dataset: CocoDataset,
    color: tuple[int, int, int],
    threshold: float,
) -> np.ndarray:
    """MMDetection's picture of (n, 4) boxes, or (n, 5) with scores, in one color (BGR); a small image is enlarged."""
    scale = max(READABLE / max(image.shape[:2]), 1.0)
    image = mmcv.imrescale(image, scale)
    boxes = np.concatenate([boxes[:, :4] * scale, boxes[:, 4:]], axis=1)
    if masks is not None:
        size = image.shape[1::-1]
        masks = np.array([mmcv.imresize(one.astype(np.uint8), size, interpolation='nearest') for one in masks], bool)
    style = dict(bbox_color=color[::-1], text_color=color[::-1], mask_color=color[::-1], thickness=1, font_size=8)
    return imshow_det_bboxes(image, boxes, labels, masks, dataset.CLASSES, score_thr=threshold, show=False, **style)


def corners(box: Sequence[float]) -> list[float]:
    """From xywh to xyxy."""
    x, y, w, h = box
    return [x, y, x + w, y + h]


BOXES, MASKS = BoxExaminer(BoxMeasures()), BoxExaminer(MaskMeasures())
