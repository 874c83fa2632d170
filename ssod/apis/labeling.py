"""Let a model label a config's unlabeled images."""

import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config, ConfigDict
from mmdet.datasets import CocoDataset
from pycocotools import mask as rle

from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError
from ssod.core.task import inner_model, task_of
from ssod.data.files import write_json

from .checks import check_paths
from .data_checks import building_data, check_out, check_source
from .test import test_detector


def label_images(
    cfg: Config,
    checkpoint: str,
    out: Path,
    score_thr: float | None = None,
    eval_on: str | None = None,
    distributed: bool = False,
    **options: Any,
) -> str | None:
    """Write a COCO file with a detector's boxes on the unlabeled images of a config; of a segmentor, label maps.

    Args:
        cfg: from :func:`ssod.apis.load_config`; the images are those of ``data.train.unlabeled``, or of the settings
            ``unlabeled_ann`` and ``unlabeled_images``, and are prepared as ``data.test.pipeline`` says.
        checkpoint: of the config's model.
        out: the file to write. ``PseudoLabelDataset`` reads it.
        score_thr: boxes with a score above it are written; None is 0.5, or the config's ``pseudo_score_thr`` if that
            is lower.
        eval_on: 'student' or 'teacher'; None is the config's ``predict_on``.
        distributed: one of several processes that have joined a process group; the first one writes.
        options: of a task with labels of its own; see :func:`ssod.segmentation.labeling.label_images`.

    Returns:
        What was written, in a line; None on ranks other than 0.

    Raises:
        InputError: the config, the images, the checkpoint or ``out`` are unusable.
    """
    if eval_on and inner_model(cfg.model) is None:
        raise InputError(f'{cfg.model.type} has no {eval_on}: it is a single detector')
    task = task_of(cfg)
    if task.label_images is not None:
        return task.label_images(cfg, checkpoint, out, score_thr, eval_on, **options)
    if options:
        raise InputError(f'--{next(iter(options))} is for label maps, and {cfg.model.type} writes boxes')
    unlabeled = unlabeled_config(cfg)
    check_out(out, cfg, checkpoint, osp.join(unlabeled.get('data_root') or '', unlabeled.ann_file))
    cfg.data.test = unlabeled
    with building_data('the unlabeled images', [cfg.data.test]):
        dataset = task.build_dataset(cfg.data.test, test_mode=True)
    task.prepare_test_data(dataset, None)
    classes = check_labeling(dataset, checkpoint, out)
    _, detections = test_detector(cfg, checkpoint, [], eval_on, distributed)
    if not detections:
        return None
    task.prepare_test_data(dataset, classes)
    if score_thr is None:  # fewer boxes than a test keeps, so that a big set's file stays small
        score_thr = min(0.5, cfg.get('pseudo_score_thr', 0.5))
    content = to_coco(dataset, next(iter(detections.values())), score_thr)
    write_json(content, out)
    return f'{out}: {summary(content)}'


def unlabeled_config(cfg: Config) -> ConfigDict:
    """The unlabeled images as a test set: those of ``data.train.unlabeled``, or of the setting ``unlabeled_ann``.

    Raises:
        InputError: the config has neither, the files do not exist, or the test set is not in COCO format.
    """
    train = cfg.data.train
    if train.type == 'SemiDataset':
        files = {key: train.unlabeled.get(key) for key in ('data_root', 'ann_file', 'img_prefix')}
    elif 'unlabeled_ann' in cfg:
        files = dict(ann_file=cfg.unlabeled_ann, img_prefix=cfg.get('unlabeled_images', ''))
    else:
        raise InputError(f'{cfg.filename} names no unlabeled images: set unlabeled_ann and unlabeled_images')
    if cfg.data.test.type != 'CocoDataset':
        raise InputError(f'data.test is a {cfg.data.test.type}: pseudo labels are written for a CocoDataset')
    unlabeled = type(cfg.data.test)({**cfg.data.test, **files})
    check_paths('the unlabeled images', unlabeled)
    return unlabeled


def check_labeling(dataset: CocoDataset, checkpoint: str, out: Path) -> Sequence[str] | None:
    """Refuse what would be found out only after all the detecting, or not at all.

    Returns:
        The checkpoint's classes, None if it does not name them.

    Raises:
        InputError: no image, an image or the checkpoint missing, classes that are not the checkpoint's, or an ``out``
            that cannot be written.
    """
    if len(dataset) == 0:
        raise InputError(f'{dataset.ann_file} has no image')
    check_source(dataset)
    classes = load_file(checkpoint).get('meta', {}).get('CLASSES')
    if classes is not None and set(classes) != set(dataset.CLASSES):
        raise InputError(f'{checkpoint} was trained for the classes {list(classes)}, not {list(dataset.CLASSES)}')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'cannot make the folder of --out {out}: {error}') from error
    return classes


def to_coco(dataset: CocoDataset, detections: Sequence[list[np.ndarray]], score_thr: float) -> dict[str, Any]:
    """Detections as COCO annotations.

    Args:
        dataset: the unlabeled images.
        detections: of each image, for each class, an (n, 5) array of xyxy, in pixels of the image, and score; a mask
            head's come as a tuple, boxes first, then for each class the run lengths of the masks.
        score_thr: boxes with a score above it are kept.

    Returns:
        ``images`` (all) and ``categories`` as the data set's file has them, the classes in the model's order;
        ``annotations`` with bbox as xywh in pixels of the image, area, iscrowd 0 and score, ids from 1, and of masks
        ``segmentation`` as run lengths, a box with an empty one being left out; and the threshold in ``info``.
    """
    kept = [found for found in to_annotations(dataset, detections) if found['score'] > score_thr and found['area'] > 0]
    annotations = [dict(id=i, iscrowd=0, **found) for i, found in enumerate(kept, 1)]
    source = dataset.coco.dataset
    # MMDetection has added a key of its own.
    images = [{key: value for key, value in image.items() if key != 'filename'} for image in source['images']]
    info = dict(description='pseudo labels', score_thr=score_thr)
    return dict(info=info, images=images, annotations=annotations, categories=source['categories'])


def to_annotations(dataset: CocoDataset, detections: Sequence) -> list[dict[str, Any]]:
    """Each detection as a COCO annotation without id; the area is the mask's if there is one."""
    if not any(isinstance(found, tuple) for found in detections):
        return [dict(found, area=found['bbox'][2] * found['bbox'][3]) for found in dataset._det2json(detections)]
    boxes, masks = dataset._segm2json(detections)  # of the same objects; a mask may have a score of its own
    return [
        dict(box, area=int(rle.area(own['segmentation'])), segmentation=own['segmentation'])
        for box, own in zip(boxes, masks, strict=True)
    ]


def summary(content: dict) -> str:
    """How many boxes, and how many above each of some thresholds."""
    scores = np.array([annotation['score'] for annotation in content['annotations']])
    counts = ', '.join(f'{np.sum(scores > thr)} above {thr}' for thr in (0.7, 0.9))
    return f'{len(content["images"])} images, {len(scores)} boxes: {counts}'
