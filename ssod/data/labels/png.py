"""Label maps as PNG files: a class's number in each pixel; or an object's number, and a file that says its class."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ssod.core.errors import InputError
from ssod.core.files import replacing, write_whole
from ssod.data.images import walk

from .masks import box_around, decode, encode
from .structure import LabeledImage, LabelObject, objects_of_map

FILE = 'labels.json'


def write(images: Sequence[LabeledImage], classes: Sequence[str], out: Path) -> Path:
    """Write ``maps/NAME.png`` for each image, and ``labels.json`` with classes, and class and score of each object.

    Of label maps a pixel is the number of its class, 255 where it is ignored, 8 bits. Of objects with masks it is the
    number of the object, from 1 on, the surest on top, 0 where none is, 16 bits.

    Raises:
        InputError: boxes without masks.
    """
    said: dict = dict(kind='instances', classes=list(classes), images={})
    for image in images:
        if image.labels is not None:
            said['kind'] = 'classes'
            write_png(image.labels, out / 'maps' / Path(image.name).with_suffix('.png'))
            continue
        width, height = image.size
        pixels = np.zeros((height, width), np.uint16)
        objects = sorted(image.objects, key=lambda one: one.score or 0)
        for number, one in enumerate(objects, 1):
            if one.mask is None:
                raise InputError('boxes are no label maps: take another format than png')
            pixels[decode(one.mask)] = number
        said['images'][image.name] = [dict(name=one.name, score=one.score) for one in objects]
        write_png(pixels, out / 'maps' / Path(image.name).with_suffix('.png'))
    write_whole(out / FILE, json.dumps(said))
    return out / FILE


def write_png(pixels: np.ndarray, path: Path) -> None:
    """Write an (h, w) array of 8 or 16 bits, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format='PNG')


def read(path: Path) -> tuple[list[LabeledImage], list[str], list[str]]:
    """Images, class names and notes of a folder with ``labels.json`` and ``maps/``, or of a folder of label maps alone.

    Raises:
        InputError: no map, or one that is no picture of one channel.
    """
    folder = path if path.is_dir() else path.parent
    said = json.loads((folder / FILE).read_text(encoding='utf-8')) if (folder / FILE).is_file() else {}
    maps = folder / 'maps' if said else folder
    files = [file for file in walk(maps) if file.suffix.lower() == '.png']
    if not files:
        raise InputError(f'{maps} has no PNG')
    by_stem = {str(Path(name).with_suffix('')): name for name in said.get('images', {})}
    classes, images = said.get('classes', []), []
    for file in files:
        with Image.open(file) as picture:
            pixels = np.array(picture)
        if pixels.ndim != 2:
            raise InputError(f'{file} is no label map: it wants one channel, a number in each pixel')
        name = file.relative_to(maps).with_suffix('').as_posix()
        image = LabeledImage(by_stem.get(name, name), pixels.shape[::-1])
        if said.get('kind') == 'instances':
            image.objects = list(instances(pixels, said['images'].get(image.name, []), file))
        else:
            if pixels.max(initial=0) > 255:
                raise InputError(f'{file} has the number {pixels.max()}: a label map has 0 to 255')
            image.labels = pixels.astype(np.uint8)
            image.objects = objects_of_map(image.labels, classes)
        images.append(image)
    return images, classes, []


def instances(pixels: np.ndarray, said: Sequence[dict], file: Path) -> list[LabelObject]:
    """The objects of a map of numbers."""
    found = []
    for number in np.unique(pixels[pixels > 0]).tolist():
        if number > len(said):
            raise InputError(f'{file} has the object {number}, and {FILE} says the class of {len(said)}: add it there')
        one, mask = said[number - 1], pixels == number
        found.append(LabelObject(one['name'], box_around(mask), one.get('score'), encode(mask)))
    return found
