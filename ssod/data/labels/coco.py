"""COCO JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from ssod.core.errors import InputError
from ssod.core.files import write_whole
from ssod.data.annotations import check_annotations
from ssod.data.files import read_json

from .masks import as_code, box_around, decode
from .structure import LabeledImage, LabelObject

FILE = 'labels.json'


def write(images: Sequence[LabeledImage], classes: Sequence[str], out: Path) -> Path:
    """Write ``labels.json``: COCO's lists, ``score`` with each annotation, run lengths as masks."""
    ids = {name: number for number, name in enumerate(classes, 1)}
    annotations = []
    for image_id, image in enumerate(images, 1):
        for one in image.objects:
            annotations.append(dict(id=len(annotations) + 1, image_id=image_id, **entry(one, ids)))
    content = dict(
        images=[dict(id=i, file_name=m.name, width=m.size[0], height=m.size[1]) for i, m in enumerate(images, 1)],
        annotations=annotations,
        categories=[dict(id=number, name=name) for name, number in ids.items()],
    )
    write_whole(out / FILE, json.dumps(content))
    return out / FILE


def entry(one: LabelObject, ids: dict[str, int]) -> dict:
    """An object as COCO's annotation, without ids of its own and of its image."""
    x1, y1, x2, y2 = one.xyxy
    bbox = [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)]
    area = bbox[2] * bbox[3] if one.mask is None else int(decode(one.mask).sum())
    found = dict(category_id=ids[one.name], bbox=bbox, area=area, iscrowd=0)
    if one.score is not None:
        found['score'] = round(one.score, 4)
    return found if one.mask is None else {**found, 'segmentation': one.mask}


def read(path: Path) -> tuple[list[LabeledImage], list[str], list[str]]:
    """Images, class names and notes of a COCO file.

    Raises:
        InputError: see :func:`ssod.data.annotations.check_annotations`; or an annotation of no image of the file.
    """
    content = read_json(path)
    annotations = content.get('annotations') or []
    for number, annotation in enumerate(annotations if isinstance(annotations, list) else [], 1):
        if isinstance(annotation, dict) and isinstance(annotation.get('bbox'), list) and len(annotation['bbox']) == 4:
            annotation.setdefault('id', number)  # exports leave these out
            annotation.setdefault('area', annotation['bbox'][2] * annotation['bbox'][3])
    check_annotations(content, str(path))
    names = {category['id']: category['name'] for category in content['categories']}
    images = {
        entry['id']: LabeledImage(entry['file_name'], (int(entry['width']), int(entry['height'])))
        for entry in content['images']
    }
    for annotation in annotations:
        if annotation['image_id'] not in images:
            raise InputError(f'{path}: annotation {annotation["id"]} is of image {annotation["image_id"]}, not listed')
        image = images[annotation['image_id']]
        x, y, w, h = annotation['bbox']
        mask = as_code(annotation['segmentation'], *image.size) if annotation.get('segmentation') else None
        xyxy = (x, y, x + w, y + h)
        if mask is not None and not (w and h):
            xyxy = box_around(decode(mask))
        image.objects.append(LabelObject(names[annotation['category_id']], xyxy, annotation.get('score'), mask))
    return list(images.values()), list(names.values()), []
