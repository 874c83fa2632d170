"""Boxes, for comparisons of trainings: COCO's AP, and how good pseudo boxes are."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmcv import Config, ConfigDict
from mmdet.datasets import CocoDataset
from torch.utils.data import Dataset

from ssod.core.errors import InputError
from ssod.core.measures import LabelQuality, Measures
from ssod.data.files import read_json

from .average_precision import ResampledAP
from .quality import Candidates, Matches, match, precision_recall


class BoxMeasures(Measures):
    """COCO's mAP over IoU 0.5 to 0.95, and pseudo boxes that are right from IoU 0.5 on."""

    metric = 'bbox_mAP'
    label = 'mAP'
    unit = 'boxes'
    count = 'num_pseudo_cls'
    supervised = 'Supervised'
    self_training = 'SelfTraining'
    labels_name = 'pseudo_labels.json'
    labels_key = 'ann_file'
    files = ('data_root', 'ann_file', 'img_prefix')

    def with_labels(self, cfg: Config, labels: Path, threshold: float) -> ConfigDict:
        """The config's ``pseudo_labeled_dataset``, with the images of its unlabeled set.

        Raises:
            InputError: it has none.
        """
        if 'pseudo_labeled_dataset' not in cfg:
            raise InputError(
                f'{cfg.filename} has no pseudo_labeled_dataset, which label-once learns from: write it as the data '
                'files of configs/_base_/datasets do, or skip label_once'
            )
        unlabeled = cfg.data.train.unlabeled
        images = {key: unlabeled[key] for key in ('data_root', 'img_prefix') if key in unlabeled}
        files = dict(images, ann_file=str(labels.resolve()), score_thr=threshold)
        return ConfigDict({**copy.deepcopy(cfg.pseudo_labeled_dataset), **files})

    def class_scores(self, dataset: Dataset, results: list) -> ResampledAP:
        """AP of each class; see :class:`ssod.detection.average_precision.ResampledAP`."""
        annotations = true_boxes(dataset)
        return ResampledAP(annotations, detected(dataset, results), dataset.img_ids, dataset.cat_ids)

    def label_quality(self, dataset: Dataset, results: list, thresholds: Sequence[float]) -> list[LabelQuality]:
        """Precision and recall, over all classes and for each; crowds count neither way."""
        annotations, rows = true_boxes(dataset), detected(dataset, results)
        boxes = np.array([row['bbox'] for row in rows], dtype=float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        columns = (np.array([row[key] for row in rows]) for key in ('image_id', 'category_id', 'score'))
        images, categories, scores = columns
        matches = match(Candidates(images, categories, boxes, scores), annotations)
        by_class = {}
        for name, category in zip(dataset.CLASSES, dataset.cat_ids, strict=True):
            num_true = sum(box['category_id'] == category and not box.get('iscrowd') for box in annotations)
            own = categories == category
            part = Matches(matches.ious[own], matches.is_tp[own], matches.is_ignored[own], num_true)
            by_class[name] = list(map(shares, precision_recall(scores[own], part, thresholds)))
        return [
            LabelQuality(
                row['threshold'],
                row['number'] / max(len(dataset), 1),
                **shares(row),
                by_class={name: rows[i] for name, rows in by_class.items()},
            )
            for i, row in enumerate(precision_recall(scores, matches, thresholds))
        ]

    def labels_per_image(self, dataset: Dataset) -> float:
        """Boxes of the classes, crowds aside."""
        return sum(not box.get('iscrowd') for box in true_boxes(dataset)) / max(len(dataset), 1)

    def threshold(self, cfg: Config) -> float:
        """That of the method's score filter; of another filter or method, ``pseudo_score_thr``."""
        settings = cfg.model.get('semi_train_cfg', {})
        own = settings.get('cls_filter') or settings.get('pseudo_filter') or {}
        return own.get('thr', 0.9) if own.get('type') == 'ScoreFilter' else cfg.get('pseudo_score_thr', 0.9)

    def is_labeled(self, labels: Path) -> bool:
        """The file is written whole."""
        return labels.is_file()

    def count_labels(self, labels: Path, threshold: float) -> int:
        """Annotations of a COCO file with a score above the threshold."""
        return sum(annotation['score'] > threshold for annotation in read_json(labels)['annotations'])


class MaskMeasures(BoxMeasures):
    """COCO's mask mAP; of pseudo labels the boxes are judged, as with :class:`BoxMeasures`."""

    metric = 'segm_mAP'
    label = 'mask mAP'

    def class_scores(self, dataset: Dataset, results: list) -> ResampledAP:
        """AP of each class; see :class:`ssod.detection.average_precision.ResampledAP`."""
        _, found = dataset._segm2json(results)
        annotations = [{**own, 'segmentation': dataset.coco.annToRLE(own)} for own in true_boxes(dataset)]
        return ResampledAP(annotations, found, dataset.img_ids, dataset.cat_ids, iou_type='segm')


def true_boxes(dataset: CocoDataset) -> list[dict]:
    """COCO's annotations of a set's images and classes.

    Raises:
        InputError: it is not in COCO's format.
    """
    if not isinstance(dataset, CocoDataset):
        raise InputError(f'a comparison reads true boxes from a CocoDataset, not from a {type(dataset).__name__}')
    known = set(dataset.cat_ids)
    return [box for image in dataset.img_ids for box in dataset.coco.imgToAnns[image] if box['category_id'] in known]


def detected(dataset: CocoDataset, results: list) -> list[dict]:
    """Detections as COCO's annotations with a score; a mask head's results come as a tuple, boxes first."""
    return dataset._det2json([found[0] if isinstance(found, tuple) else found for found in results])


def shares(row: dict[str, float]) -> dict[str, float | None]:
    """Precision and recall of a row of :func:`precision_recall`, None instead of nan."""
    return {key: None if np.isnan(row[key]) else float(row[key]) for key in ('precision', 'recall')}
