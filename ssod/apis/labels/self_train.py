"""A run that begins with the labels of any model: COCO annotations with scores."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config

from ssod.apis.comparison.derive import label_once_config
from ssod.apis.config import write_config
from ssod.core.errors import InputError
from ssod.data.annotations import is_number
from ssod.data.files import read_json, write_json
from ssod.data.labels.matching import NameMatcher

CONFIG, LABELS = 'self_training.py', 'pseudo_labels.json'


def prepare_self_training(cfg: Config, labels: Path, score_thr: float, work_dir: Path) -> tuple[Path, str]:
    """Write a config that learns from the labels on the config's unlabeled images, and from its labeled images.

    It is :func:`ssod.apis.comparison.derive.label_once_config` of the config: same detector, views and schedule.

    Args:
        cfg: of a method, from :func:`ssod.apis.load_config`.
        labels: COCO JSON of annotations with ``score``; or a list of results, ``image_id`` (of the unlabeled file) or
            ``file_name``, ``category_id`` or ``category``, ``bbox`` and ``score``.
        score_thr: labels with a score above it are learned from.
        work_dir: where config and labels go.

    Returns:
        The config's path, and a sentence on what it learns from.

    Raises:
        InputError: no score, images or classes that the set does not have, no label above the threshold.
    """
    if cfg.get('data', {}).get('train', {}).get('type') != 'SemiDataset':
        raise InputError(f'{cfg.filename} has no unlabeled images that the labels could be of: give a method of ours')
    unlabeled = cfg.data.train.unlabeled
    if not isinstance(unlabeled.get('ann_file'), str):
        raise InputError(
            f'{cfg.filename} learns from label maps: give those of another model to Simple Baseline, `ssod train '
            'simple_baseline/NAME.py --cfg-options pseudo_maps=FOLDER`'
        )
    images = read_json(Path(unlabeled.get('data_root') or '', unlabeled.ann_file))
    content = fitted(read(labels), images, labels)
    if not any(one['score'] > score_thr for one in content['annotations']):
        highest = max((one['score'] for one in content['annotations']), default=0)
        raise InputError(f'{labels} has no label with a score above {score_thr:g}, the highest is {highest:.2f}')
    work_dir.mkdir(parents=True, exist_ok=True)
    write_json(content, work_dir / LABELS)
    own = label_once_config(cfg, score_thr, work_dir / LABELS)
    own.work_dir = str(work_dir)
    return write_config(own, work_dir / CONFIG), said(content, score_thr)


def read(path: Path) -> dict[str, Any]:
    """COCO's dictionary; of a list of results one without images and categories."""
    if not path.is_file():
        raise InputError(f'no labels {path}')
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
    except ValueError as error:
        raise InputError(f'{path} is not JSON ({error}): export it again') from error
    content = dict(annotations=content) if isinstance(content, list) else content
    if not isinstance(content, dict) or not isinstance(content.get('annotations'), list) or not content['annotations']:
        raise InputError(f'{path} holds no annotations: give COCO JSON with scores, or a list of results')
    return content


def fitted(content: dict[str, Any], unlabeled: dict, path: Path) -> dict[str, Any]:
    """The annotations as ones of the unlabeled file: its images by name, its categories by name, ids from 1.

    Raises:
        InputError: an annotation without box or score, of an image or a class that the set does not have.
    """
    finder = NameMatcher(image['file_name'] for image in unlabeled['images'])
    by_name = {image['file_name']: image for image in unlabeled['images']}
    ids = {category['name']: category['id'] for category in unlabeled['categories']}
    names = {category['id']: category['name'] for category in content.get('categories') or unlabeled['categories']}
    files = {image['id']: image['file_name'] for image in content.get('images') or unlabeled['images']}
    found: dict[str, str] = {}
    annotations = []
    for number, one in enumerate(content['annotations'], 1):
        where = f'{path}: annotation {number}'
        box, score = one.get('bbox'), one.get('score')
        if not is_number(score):
            raise InputError(f'{where} has no score: pseudo labels are chosen by it')
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)) or min(box[2:]) <= 0:
            raise InputError(f'{where} has the bbox {box}: it is x, y, width, height in pixels')
        file, name = one.get('file_name') or files.get(one.get('image_id')), one.get('category')
        name = name or names.get(one.get('category_id'))
        if file is None:
            raise InputError(f'{where} is of image {one.get("image_id")}, which no list of images has')
        if name not in ids:
            raise InputError(f'{where} is of the class {name!r}, and the set has {", ".join(ids)}: rename it')
        found[file] = found.get(file) or finder.find(file)
        own = dict(id=number, image_id=by_name[found[file]]['id'], category_id=ids[name], bbox=box, iscrowd=0)
        own.update(score=score, area=one.get('area', box[2] * box[3]))
        annotations.append({**own, **({'segmentation': one['segmentation']} if one.get('segmentation') else {})})
    info = dict(description=f'labels of {path.name}')
    keys = ('images', 'categories')
    return dict(info=info, annotations=annotations, **{key: unlabeled[key] for key in keys})


def said(content: dict[str, Any], score_thr: float) -> str:
    """How much there is to learn from."""
    above = [one for one in content['annotations'] if one['score'] > score_thr]
    images = Counter(one['image_id'] for one in above)
    mean = np.mean([one['score'] for one in above])
    return (
        f'{len(above)} of {len(content["annotations"])} labels have a score above {score_thr:g} (mean {mean:.2f}), on '
        f'{len(images)} of {len(content["images"])} unlabeled images; images without one are left out'
    )
