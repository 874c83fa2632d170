"""YOLO's folders: a text file for each image, and a data.yaml."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from ssod.core.errors import InputError
from ssod.core.files import write_whole
from ssod.data.images import walk

from .masks import decode, one_polygon
from .structure import LabeledImage, LabelObject

FILE = 'data.yaml'


def write(images: Sequence[LabeledImage], classes: Sequence[str], out: Path) -> Path:
    """Write ``labels/NAME.txt`` for each image and ``data.yaml``; an object with a mask as one polygon.

    A row has no place for the score. ``images`` is expected to lead to the images.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    for image in images:
        rows = [row for one in image.objects if (row := shares(one, image.size, numbers[one.name]))]
        write_whole(out / 'labels' / Path(image.name).with_suffix('.txt'), ''.join(f'{row}\n' for row in rows))
    content = dict(path=str(out.absolute()), train='images', val='images', names=dict(enumerate(classes)))
    write_whole(out / FILE, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return out / FILE


def shares(one: LabelObject, size: tuple[int, int], number: int) -> str:
    """A row: class number, then center, width and height, or the points of a polygon, in shares of the image."""
    if one.mask is None:
        x1, y1, x2, y2 = one.xyxy
        values = np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]) / (*size, *size)
    else:
        values = (one_polygon(decode(one.mask)) / size).reshape(-1)
    return ' '.join([str(number), *(f'{value:.6f}' for value in values)]) if len(values) else ''


def read(path: Path) -> tuple[list[LabeledImage], list[str], list[str]]:
    """Images, class names and notes of a folder with data.yaml and labels/, or of the data.yaml in it.

    Sizes are not known: boxes are in shares of the image; see :meth:`LabeledImage.sized`.

    Raises:
        InputError: no data.yaml, no labels, or a row that is no box and no polygon.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f'{path} has no {FILE}, which names the classes: put it there')
    try:
        names = (yaml.safe_load(file.read_text(encoding='utf-8')) or {}).get('names')
    except (yaml.YAMLError, AttributeError) as error:
        raise InputError(f'{file} is no data.yaml: export it again') from error
    names = [names[key] for key in sorted(names)] if isinstance(names, dict) else names
    if not names:
        raise InputError(f'{file} has no names: list the classes there')
    texts = [text for text in walk(file.parent) if text.suffix == '.txt' and 'labels' in text.parts]
    if not texts:
        raise InputError(f'{file.parent} has no labels/*.txt')
    images = []
    for text in texts:
        below = text.parts[len(text.parts) - text.parts[::-1].index('labels') :]
        images.append(LabeledImage('/'.join(below).removesuffix('.txt'), None, rows_of(text, list(map(str, names)))))
    return images, list(map(str, names)), []


def rows_of(path: Path, names: Sequence[str]) -> list[LabelObject]:
    """The objects of a label file, in shares; a polygon is kept in ``mask`` until the size is known."""
    objects = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            label, values = int(float(fields[0])), np.array(fields[1:], float)
        except ValueError:
            raise InputError(f'{path}, line {number}: {line[:60]!r} is no row of numbers') from None
        score = float(values[4]) if len(values) == 5 else None  # as predictions are saved
        values = values[:4] if len(values) == 5 else values
        if len(values) != 4 and (len(values) < 6 or len(values) % 2) or not np.isfinite(values).all():
            raise InputError(f'{path}, line {number}: neither class x y width height nor the points of a polygon')
        if not 0 <= label < len(names):
            raise InputError(f'{path}, line {number}: class {label}, and data.yaml names {len(names)}')
        if np.abs(values).max() > 2:
            raise InputError(f'{path}, line {number}: {values.max():g} is no share of the image, from 0 to 1')
        objects.append(from_row(names[label], values, score))
    return objects


def from_row(name: str, values: np.ndarray, score: float | None) -> LabelObject:
    """An object of a row's numbers behind the class."""
    if len(values) == 4:
        x, y, w, h = map(float, values)
        return LabelObject(name, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), score)
    points = values.reshape(-1, 2)
    xyxy = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    return LabelObject(name, xyxy, score, dict(polygon=values.tolist()))
