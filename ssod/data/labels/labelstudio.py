"""Label Studio's JSON: tasks with predictions to correct, and the export with what people made of them."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from ssod.core.errors import InputError
from ssod.core.files import write_whole

from .masks import box_around, decode, encode, fill, from_brush, to_brush
from .structure import LabeledImage, LabelObject

FILE, INTERFACE = 'tasks.json', 'interface.xml'
LOCAL = '/data/local-files/?d='


def write(images: Sequence[LabeledImage], classes: Sequence[str], out: Path) -> Path:
    """Write ``tasks.json``, tasks with predictions, and ``interface.xml``, the labeling interface that fits them.

    Images are named as files of a local storage: its root has to hold them under these names.
    """
    masks = any(one.mask is not None for image in images for one in image.objects)
    kind = 'brushlabels' if masks else 'rectanglelabels'
    tasks = []
    for image in images:
        result = [region(one, kind, f'{i:05d}', image.size) for i, one in enumerate(image.objects)]
        scores = [one.score for one in image.objects if one.score is not None]
        prediction = dict(model_version='ssod', result=result)
        if scores:
            prediction['score'] = round(sum(scores) / len(scores), 4)
        tasks.append(dict(data=dict(image=LOCAL + quote(image.name)), predictions=[prediction]))
    tag = 'BrushLabels' if masks else 'RectangleLabels'
    labels = ''.join(f'    <Label value={quoteattr(name)}/>\n' for name in classes)
    interface = f'  <Image name="image" value="$image" zoom="true"/>\n  <{tag} name="label" toName="image">\n{labels}'
    write_whole(out / INTERFACE, f'<View>\n{interface}  </{tag}>\n</View>\n')
    write_whole(out / FILE, json.dumps(tasks))
    return out / FILE


def region(one: LabelObject, kind: str, number: str, size: tuple[int, int]) -> dict:
    """An object as a region: percent of the image for a box, run lengths for a mask."""
    width, height = size
    if one.mask is not None:
        value = dict(format='rle', rle=to_brush(decode(one.mask)))
    else:
        x1, y1, x2, y2 = one.xyxy
        value = dict(x=100 * x1 / width, y=100 * y1 / height, rotation=0)
        value.update(width=100 * (x2 - x1) / width, height=100 * (y2 - y1) / height)
    found = dict(id=number, type=kind, from_name='label', to_name='image', image_rotation=0)
    found.update(original_width=width, original_height=height, value={**value, kind: [one.name]})
    return found if one.score is None else {**found, 'score': round(one.score, 4)}


def read(path: Path) -> tuple[list[LabeledImage], list[str], list[str]]:
    """Images, class names and notes of an export in the format JSON: the last annotation of each task counts.

    A task that nobody has annotated, with predictions alone, is left out: it was not looked at.

    Raises:
        InputError: it is no list of tasks, no task is annotated, or a region is no box, polygon or brush.
    """
    tasks = json.loads(path.read_text(encoding='utf-8'))
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and 'data' in t for t in tasks):
        raise InputError(f'{path} is no list of Label Studio tasks: export the project in the format JSON')
    images, skipped = [], 0
    for task in tasks:
        made = [one for one in task.get('annotations') or [] if not one.get('was_cancelled')]
        if not made:
            skipped += 1
            continue
        name = image_name(task['data'], path)
        regions = [one for one in made[-1]['result'] if one.get('type') in READERS]
        sizes = {(one['original_width'], one['original_height']) for one in regions}
        if len(sizes) > 1:
            raise InputError(f'{path}: {name} has regions for images of several sizes: export it again')
        image = LabeledImage(name, next(iter(sizes), None))
        image.objects = [read_region(one, f'{path}: {name}') for one in regions]
        images.append(image)
    if not images:
        raise InputError(f'{path} has no annotation, predictions alone: submit the tasks in Label Studio, then export')
    notes = [f'{skipped} tasks without an annotation were left out: nobody has submitted them'] if skipped else []
    return images, sorted({one.name for image in images for one in image.objects}), notes


def image_name(data: dict, path: Path) -> str:
    """The image of a task: the name in a local storage, or the end of an address, without an upload's prefix."""
    url = next((value for value in data.values() if isinstance(value, str)), None)
    if url is None:
        raise InputError(f'{path} has a task without an image')
    parts = urlsplit(url)
    if 'd' in (query := parse_qs(parts.query)):
        return query['d'][0]
    name = unquote(parts.path).lstrip('/')
    return re.sub(r'^.*upload/\d+/[0-9a-f]{8}-', '', name)


def read_region(region: dict, where: str) -> LabelObject:
    """An object of a region.

    Raises:
        InputError: it has no label, or two, or a mask of another size.
    """
    value, size = region['value'], (region['original_width'], region['original_height'])
    names = value.get(region['type']) or value.get('labels') or []
    if len(names) != 1:
        raise InputError(f'{where} has a region with the labels {names}: give it one')
    mask = READERS[region['type']](value, size)
    if isinstance(mask, tuple):
        return LabelObject(names[0], mask, region.get('score'))
    if mask is None:
        raise InputError(f'{where} has a brush of another size than {size}: export it again')
    return LabelObject(names[0], box_around(mask), region.get('score'), encode(mask))


def read_rectangle(value: dict, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Corners in pixels; of a turned rectangle, which turns about its first corner, the box around it."""
    angle = math.radians(value.get('rotation') or 0)
    x, y, w, h = (
        value[key] / 100 * side for key, side in zip(('x', 'y', 'width', 'height'), (*size, *size), strict=True)
    )
    corners = np.array([(0, 0), (w, 0), (w, h), (0, h)])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners = corners @ turn + (x, y)
    return (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())


def read_polygon(value: dict, size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool of a polygon in percent."""
    return fill([np.asarray(value['points'], float) / 100 * size], size)


READERS = dict(
    rectanglelabels=read_rectangle,
    polygonlabels=read_polygon,
    brushlabels=lambda value, size: from_brush(value['rle'], size),
)
