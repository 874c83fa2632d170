"""Files that are wrong in one way each, for the tests of what is refused."""

import copy
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

NAN, INF = float('nan'), float('inf')


def good() -> dict[str, Any]:
    """A COCO dictionary of two images of 64 x 48 pixels, with gaps in its ids."""
    return dict(
        info={},
        images=[dict(id=i, file_name=f'{i}.png', width=64, height=48) for i in (3, 8)],
        annotations=[
            dict(id=i, image_id=image, category_id=category, bbox=[4, 5, 20, 16], area=320, iscrowd=0)
            for i, image, category in ((5, 3, 2), (9, 8, 7))
        ],
        categories=[dict(id=2, name='cell'), dict(id=7, name='dust')],
    )


def changed(change: Callable[[dict], Any]) -> dict[str, Any]:
    """The good dictionary after ``change``."""
    content = copy.deepcopy(good())
    change(content)
    return content


def box(value: Any) -> Callable[[dict], Any]:
    """Gives annotation 5 another box."""
    return lambda data: data['annotations'][0].update(bbox=value)


def annotation(**values: Any) -> Callable[[dict], Any]:
    """Changes annotation 5."""
    return lambda data: data['annotations'][0].update(values)


def image(**values: Any) -> Callable[[dict], Any]:
    """Changes image 3."""
    return lambda data: data['images'][0].update(values)


def category(**values: Any) -> Callable[[dict], Any]:
    """Changes category 2."""
    return lambda data: data['categories'][0].update(values)


def without(part: str, key: str) -> Callable[[dict], Any]:
    """Takes a key away from the first entry of a list."""
    return lambda data: data[part][0].pop(key)


FOUR = 'it is four finite numbers, x, y, width, height'
# What is wrong with an annotation file, and what is said behind its path.
ANNOTATIONS: dict[str, tuple[Callable[[dict], Any], str]] = {
    'no images': (lambda data: data.pop('images'), " has no list 'images': give a COCO annotation file"),
    'images is a dictionary': (lambda data: data.update(images={}), " has no list 'images'"),
    'images is null': (lambda data: data.update(images=None), " has no list 'images'"),
    'no categories': (lambda data: data.pop('categories'), " has no list 'categories'"),
    'categories is a text': (lambda data: data.update(categories='cell'), " has no list 'categories'"),
    'annotations is a dictionary': (lambda data: data.update(annotations={'a': 1}), ": 'annotations' is a dict, not a"),
    'an image is a text': (
        lambda data: data['images'].append('9.png'),
        ': image "9.png" is not a dictionary of id, file',
    ),
    'an image is null': (lambda data: data['images'].append(None), ': image null is not a dictionary of id, file_name'),
    'image without id': (without('images', 'id'), ' has no id; mend the file or export it again'),
    'image without name': (without('images', 'file_name'), ': image 3 has no file_name; mend the file'),
    'image without width': (without('images', 'width'), ': image 3 has no width; mend the file'),
    'image without height': (without('images', 'height'), ': image 3 has no height; mend the file'),
    'image id is a list': (image(id=[3]), ' has the id [3], which is neither a number nor a text'),
    'image id is null': (image(id=None), ' has the id None, which is neither a number nor a text'),
    'file name is a number': (image(file_name=3), ': image 3 has the file_name 3, which is no name'),
    'file name is empty': (image(file_name=''), ": image 3 has the file_name '', which is no name"),
    'file name is null': (image(file_name=None), ': image 3 has the file_name None, which is no name'),
    'width is 0': (image(width=0), ': image 3 has the width 0: it is a number of pixels, 1 or more'),
    'width is negative': (image(width=-64), ': image 3 has the width -64: it is a number of pixels'),
    'height is NaN': (image(height=NAN), ': image 3 has the height nan: it is a number of pixels'),
    'height is infinite': (image(height=INF), ': image 3 has the height inf: it is a number of pixels'),
    'width is a text': (image(width='64'), ": image 3 has the width '64': it is a number of pixels"),
    'width is null': (image(width=None), ': image 3 has the width None: it is a number of pixels'),
    'image id twice': (image(id=8), ' has 2 images with the id 8: make each unique'),
    'a category is a text': (
        lambda data: data['categories'].append('x'),
        ': category "x" is not a dictionary of id, na',
    ),
    'category without id': (without('categories', 'id'), ' has no id; mend'),
    'category without name': (without('categories', 'name'), ': category 2 has no name; mend'),
    'category name is a number': (category(name=5), ': category 2 has the name 5, which is no text'),
    'category id twice': (category(id=7), ' has 2 categories with the id 7: make each unique'),
    'category name twice': (category(name='dust'), " has 2 categories with the name 'dust': make each unique"),
    'an annotation is a list': (
        lambda data: data['annotations'].append([1]),
        ': annotation [1] is not a dictionary of',
    ),
    'annotation without id': (without('annotations', 'id'), ' has no id; mend'),
    'annotation without image_id': (without('annotations', 'image_id'), ': annotation 5 has no image_id; mend'),
    'annotation without category_id': (
        without('annotations', 'category_id'),
        ': annotation 5 has no category_id; mend',
    ),
    'annotation without bbox': (without('annotations', 'bbox'), ': annotation 5 has no bbox; mend'),
    'annotation without area': (without('annotations', 'area'), ': annotation 5 has no area; mend'),
    'annotation id twice': (annotation(id=9), ' has 2 annotations with the id 9: make each unique'),
    'image_id is a list': (annotation(image_id=[3]), ': annotation 5 has the image_id [3], which is neither a number'),
    'category_id is null': (annotation(category_id=None), ': annotation 5 has the category_id None, which is neither'),
    'category_id is a dictionary': (annotation(category_id={}), ': annotation 5 has the category_id {}, which is nei'),
    'unknown category': (
        annotation(category_id=3),
        ": annotation 5 has the category_id 3, which is not in 'categories'",
    ),
    'category by name': (
        annotation(category_id='cell'),
        ": annotation 5 has the category_id 'cell', which is not in 'c",
    ),
    'area is NaN': (annotation(area=NAN), ': annotation 5 has the area nan, which is no finite number'),
    'area is a text': (annotation(area='320'), ": annotation 5 has the area '320', which is no finite number"),
    'score is NaN': (annotation(score=NAN), ': annotation 5 has the score nan, which is no finite number'),
    'score is null': (annotation(score=None), ': annotation 5 has the score None, which is no finite number'),
    'box with NaN': (box([4, NAN, 20, 16]), f': annotation 5 has the bbox [4, NaN, 20, 16]: {FOUR}'),
    'box with infinity': (box([4, 5, INF, 16]), f': annotation 5 has the bbox [4, 5, Infinity, 16]: {FOUR}'),
    'box with minus infinity': (box([-INF, 5, 20, 16]), f': annotation 5 has the bbox [-Infinity, 5, 20, 16]: {FOUR}'),
    'box of texts': (box(['4', '5', '20', '16']), f': annotation 5 has the bbox ["4", "5", "20", "16"]: {FOUR}'),
    'box of three': (box([4, 5, 20]), f': annotation 5 has the bbox [4, 5, 20]: {FOUR}'),
    'box of five': (box([4, 5, 20, 16, 1]), f': annotation 5 has the bbox [4, 5, 20, 16, 1]: {FOUR}'),
    'empty box': (box([]), f': annotation 5 has the bbox []: {FOUR}'),
    'box is null': (box(None), f': annotation 5 has the bbox null: {FOUR}'),
    'box is a text': (box('4 5 20 16'), f': annotation 5 has the bbox "4 5 20 16": {FOUR}'),
    'box of truths': (box([True, 5, 20, 16]), f': annotation 5 has the bbox [true, 5, 20, 16]: {FOUR}'),
    'nested box': (box([[4, 5, 20, 16]]), f': annotation 5 has the bbox [[4, 5, 20, 16]]: {FOUR}'),
    'negative width': (
        box([24, 5, -20, 16]),
        ': annotation 5 has the bbox [24, 5, -20, 16]: it is x, y, width, height, no',
    ),
    'negative height': (
        box([4, 21, 20, -16]),
        ': annotation 5 has the bbox [4, 21, 20, -16]: it is x, y, width, height',
    ),
}

# What a good program takes: with the warnings that it gives.
TAKEN: dict[str, tuple[Callable[[dict], Any], list[str]]] = {
    'as it is': (lambda data: None, []),
    'no annotations at all': (lambda data: data.pop('annotations'), []),
    'an image without annotations': (lambda data: data['annotations'].pop(), []),
    'ids that are texts': (lambda data: (image(id='3')(data), annotation(image_id='3')(data)), []),
    'numbers with a point': (box([4.5, 5.25, 20.0, 16.75]), []),
    'a box over the edge': (box([-3, 5, 20, 100]), []),
    'width with a point': (image(width=64.0), []),
    'a name of many letters': (image(file_name='Zellen/Größe é 你好.png'), []),
    'crowds': (annotation(iscrowd=1), []),
    'no width of the box': (box([4, 5, 0, 16]), ['1 annotations narrower than a pixel are left out']),
    'a box beside the image': (box([64, 5, 20, 16]), ['1 annotations outside their image are left out']),
    'a box above the image': (box([4, -30, 20, 16]), ['1 annotations outside their image are left out']),
    'an annotation without image': (
        annotation(image_id=4),
        ["1 annotations of images that are not in 'images' are left out"],
    ),
}  # fmt: skip

# Texts in place of an annotation file, and what is said.
TEXTS = {
    'empty': ('', 'is not JSON (Expecting value: line 1 column 1 (char 0))'),
    'spaces': ('  \n', 'is not JSON'),
    'truncated': (json.dumps(good())[:200], 'is not JSON'),
    'a word': ('hello', 'is not JSON'),
    'XML': ('<annotation><object/></annotation>', 'is not JSON'),
    'a list': (json.dumps([good()]), 'holds a list, not a COCO dictionary'),
    'null': ('null', 'holds a NoneType, not a COCO dictionary'),
    'a number': ('5', 'holds a int, not a COCO dictionary'),
    'a text': ('"images"', 'holds a str, not a COCO dictionary'),
    'two documents': (json.dumps(good()) * 2, 'is not JSON'),
    'UTF-16': (json.dumps(good()).encode('utf-16'), 'is not JSON'),
    'bytes': (bytes(range(128, 256)), 'is not JSON'),
    'a picture': (b'\x89PNG\r\n\x1a\n' + bytes(20), 'is not JSON'),
}


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """(height, width, 3) uint8, BGR: red rises to the right, green downwards, the upper left corner is blue."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([np.zeros_like(x), 255 * y // max(height - 1, 1), 255 * x // max(width - 1, 1)], axis=-1)
    image[: height // 4, : width // 4] = (255, 0, 0)
    return image.astype(np.uint8)


def encoded(suffix: str = '.png', image: np.ndarray | None = None) -> bytes:
    """The picture as a file's bytes."""
    return cv2.imencode(suffix, picture() if image is None else image)[1].tobytes()


def bomb(path: Path) -> None:
    """A file of 225 megapixels in less than a megabyte."""
    Image.new('1', (15000, 15000)).save(path, 'PNG')


def pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a Pillow image."""
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def exif(orientation: int, undone: bool = True) -> bytes:
    """A JPEG file whose EXIF tag turns it; ``undone``: stored so that it is then the picture."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    undo = {1: None, 3: cv2.ROTATE_180, 6: cv2.ROTATE_90_COUNTERCLOCKWISE, 8: cv2.ROTATE_90_CLOCKWISE}[orientation]
    stored = picture() if undo is None or not undone else cv2.rotate(picture(), undo)
    return pillow(Image.fromarray(stored[..., ::-1]), 'JPEG', exif=tags, quality=95)
