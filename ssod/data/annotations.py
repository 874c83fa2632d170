"""What can be wrong in a COCO annotation file: said with the file's name, the entry's id, and what to do."""

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from numbers import Real
from typing import Any

from ssod.core.errors import InputError

LISTS = ('images', 'categories')  # a list of images alone has no annotations


def check_annotations(content: Any, path: str) -> list[str]:
    """Refuse a COCO dictionary that MMDetection would train on without a word, or fail on without the file's name.

    Args:
        content: what the file holds.
        path: of the file, for the message.

    Returns:
        Warnings: boxes that MMDetection leaves out.

    Raises:
        InputError: a list is missing or is none; an entry without a key that is read, or with a value of another kind;
            an id that comes twice; sizes and boxes that are no finite numbers; boxes of negative size; a category that
            the file does not list.
    """
    if not isinstance(content, dict):
        raise InputError(f'{path} holds a {type(content).__name__}, not a COCO dictionary: give a COCO annotation file')
    for key in LISTS:
        if not isinstance(content.get(key), list):
            raise InputError(f"{path} has no list '{key}': give a COCO annotation file, with {', '.join(LISTS)}")
    annotations = content.get('annotations') or []
    if not isinstance(annotations, list):
        raise InputError(f"{path}: 'annotations' is a {type(annotations).__name__}, not a list: export the file again")
    check_images(content['images'], path)
    check_categories(content['categories'], path)
    return check_boxes(content, annotations, path)


def check_images(images: Sequence[Any], path: str) -> None:
    """Refuse images without id, name or size, and ids that come twice."""
    for image in images:
        need(image, ('id', 'file_name', 'width', 'height'), 'image', path)
        if not isinstance(image['file_name'], str) or not image['file_name']:
            refuse(path, 'image', image, f'has the file_name {image["file_name"]!r}, which is no name')
        for key in ('width', 'height'):
            if not is_number(image[key]) or image[key] < 1:
                refuse(path, 'image', image, f'has the {key} {image[key]!r}: it is a number of pixels, 1 or more')
    refuse_twice((image['id'] for image in images), 'images with the id', path)


def check_categories(categories: Sequence[Any], path: str) -> None:
    """Refuse categories without id or name, and ids and names that come twice."""
    for category in categories:
        need(category, ('id', 'name'), 'category', path)
        if not isinstance(category['name'], str):
            refuse(path, 'category', category, f'has the name {category["name"]!r}, which is no text')
    refuse_twice((category['id'] for category in categories), 'categories with the id', path)
    refuse_twice((category['name'] for category in categories), 'categories with the name', path)


def check_boxes(content: dict, annotations: Sequence[Any], path: str) -> list[str]:
    """Refuse boxes that mean nothing; returns what is said of those that are left out."""
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    left_out: Counter = Counter()
    for annotation in annotations:
        need(annotation, ('id', 'image_id', 'category_id', 'bbox', 'area'), 'annotation', path)
        box = box_of(annotation, path)
        check_annotation(annotation, box, categories, path)
        left_out[why_left_out(box, sizes.get(annotation['image_id']))] += 1
    refuse_twice((annotation['id'] for annotation in annotations), 'annotations with the id', path)
    return [f'{path}: {count} annotations {where} are left out' for where, count in left_out.items() if where]


def check_annotation(annotation: dict, box: list[float], categories: Collection[Any], path: str) -> None:
    """Refuse an annotation with a box below 0, a category that is not listed, or an area or score that is no number."""
    wrong = None
    if not is_number(annotation['area']):
        wrong = f'the area {annotation["area"]!r}, which is no finite number'
    elif min(box[2:]) < 0:
        wrong = f'the bbox {box}: it is x, y, width, height, none below 0'
    elif annotation['category_id'] not in categories:
        wrong = f"the category_id {annotation['category_id']!r}, which is not in 'categories'"
    elif not is_number(annotation.get('score', 0)):
        wrong = f'the score {annotation["score"]!r}, which is no finite number'
    if wrong:
        refuse(path, 'annotation', annotation, f'has {wrong}')


def why_left_out(box: list[float], size: tuple[float, float] | None) -> str | None:
    """Why a box is not trained on, as MMDetection leaves it out; None if it is. ``size``: (w, h) of its image."""
    x, y, width, height = box
    if size is None:
        return "of images that are not in 'images'"
    if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        return 'outside their image'
    return 'narrower than a pixel' if width < 1 or height < 1 else None


def box_of(annotation: dict, path: str) -> list[float]:
    """The four numbers of an annotation's box: x, y, width, height in pixels."""
    bbox = annotation['bbox']
    if not isinstance(bbox, (list, tuple)) or len(bbox) != 4 or not all(map(is_number, bbox)):
        said = f'has the bbox {json.dumps(bbox)[:80]}: it is four finite numbers, x, y, width, height'
        refuse(path, 'annotation', annotation, said)
    return list(bbox)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def need(entry: Any, keys: Sequence[str], what: str, path: str) -> None:
    """Refuse an entry that is no dictionary, or lacks a key."""
    if not isinstance(entry, dict):
        wanted = f'a dictionary of {", ".join(keys)}'
        raise InputError(f'{path}: {what} {json.dumps(entry)[:80]} is not {wanted}; export the file again')
    for key in keys:
        if key not in entry:
            refuse(path, what, entry, f'has no {key}')
    for key in keys:
        if key.endswith('id') and not (isinstance(entry[key], str) or is_number(entry[key])):
            refuse(path, what, entry, f'has the {key} {entry[key]!r}, which is neither a number nor a text')


def refuse(path: str, what: str, entry: dict, said: str) -> None:
    """Raise the InputError about an entry."""
    name = entry.get('id', json.dumps(entry)[:80])
    raise InputError(f'{path}: {what} {name} {said}; mend the file or export it again')


def refuse_twice(values: Iterable[Any], what: str, path: str) -> None:
    """Refuse a value that comes twice."""
    value, count = next(iter(Counter(values).most_common(1)), (None, 0))
    if count > 1:
        raise InputError(f'{path} has {count} {what} {value!r}: make each unique')
