"""Draw a small detection set in COCO format: textured shapes on clutter, to try a training run without a download.

    python tools/dataset/make_shapes.py data/shapes [--num-train 300] [--num-val 100] [--size 160] [--seed 0]
        [--with-masks]

writes OUT/images/{train,val}/000001.jpg ... and OUT/annotations/instances_{train,val}.json, `file_name` relative to
OUT/images/{train,val}. Each image holds 3 to 8 objects, 15 to 40 % of its side across, in any orientation; each
class leans to a texture and a hue. Blobs, bars and lines in the background belong to no class.

Objects cover each other, but at least 40 % of each stays visible; as in COCO, the box and the area are those of the
visible part. Image i depends on the seed, the split and i alone, not on how many images there are.

With `--with-masks` each object has its `segmentation`, its outline where all of it is visible, else run lengths of the
visible pixels; and OUT/semantic/{train,val}/000001.png ... tell each pixel's class, 0 for the background, 1 for the
first class.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask

from ssod.data.files import write_json

CLASSES = ('circle', 'triangle', 'star', 'cross')
# Each class leans to a texture and a hue (degrees), as things in photographs do; outline, texture and hue vary enough
# that none of them tells the class alone.
TEXTURES = ('checked', 'striped', 'graded', 'noisy')
HUES = (0, 90, 180, 270)
HUE_SPREAD = 25
OWN_TEXTURE = 0.75
SPLITS = ('train', 'val')
MIN_VISIBLE = 0.4
Rng = np.random.Generator


def outline(name: str) -> np.ndarray:
    """Corners (n, 2) of a class's shape inside the circle of radius 1 around 0."""
    if name == 'cross':
        a, b = 0.95, 0.3
        return np.array(
            [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b), (b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b)]
        )
    corners = {'circle': 48, 'triangle': 3, 'star': 10}[name]
    angles = 2 * math.pi * np.arange(corners) / corners
    radii = np.where(np.arange(corners) % 2, 0.45, 1.0) if name == 'star' else np.ones(corners)
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def fill(points: np.ndarray, size: int) -> np.ndarray:
    """Coverage (size, size) float32 in [0, 1] of the polygon `points` (n, 2), in pixels; its rim is smooth."""
    mask = np.zeros((size, size), np.uint8)
    # 4 fractional bits: the outline is not snapped to whole pixels.
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return mask.astype(np.float32) / 255


def texture(size: int, rng: Rng, kind: str | None = None, hue: float | None = None) -> np.ndarray:
    """Picture (size, size, 3) float32 BGR in [0, 255]: two shades mixed by a pattern.

    Args:
        kind: one of `TEXTURES`; None: any.
        hue: in degrees; None: any.
    """
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, wave = rng.uniform(0, 2 * math.pi), size * rng.uniform(0.04, 0.1)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kind = kind or TEXTURES[rng.integers(len(TEXTURES))]
    if kind == 'striped':
        mix = np.floor(u / wave) % 2
    elif kind == 'checked':
        mix = (np.floor(u / wave) + np.floor(v / wave)) % 2
    elif kind == 'noisy':
        mix = cv2.resize(rng.random((size // 4, size // 4), dtype=np.float32), (size, size))
    else:
        mix = 0.5 + 0.5 * np.sin(u * rng.uniform(1.5, 4) / size)
    first, second = shade(rng, hue), shade(rng, hue)
    return first + mix[..., None] * (second - first)


def shade(rng: Rng, hue: float | None) -> np.ndarray:
    """A color (3,) float32 BGR in [0, 255] near a hue in degrees, or of any; light and saturation are drawn."""
    hue = rng.uniform(0, 360) if hue is None else rng.normal(hue, HUE_SPREAD) % 360
    hsv = np.float32([[[hue, rng.uniform(0.35, 1), rng.uniform(0.3, 1)]]])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0] * 255


def paint(image: np.ndarray, coverage: np.ndarray, picture: np.ndarray) -> None:
    """Lay `picture` over `image`, both (H, W, 3) float32, where `coverage` (H, W) is 1; changes `image`."""
    image += coverage[..., None] * (picture - image)


def background(size: int, rng: Rng) -> np.ndarray:
    """Clutter (size, size, 3) float32 in [0, 255]: smooth color noise, blobs, bars and lines."""
    cells = int(rng.integers(3, 9))
    color = (rng.uniform(60, 195, 3) + rng.uniform(-45, 45, (cells, cells, 3))).astype(np.float32)
    image = cv2.resize(color, (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(2, 6)):
        if rng.random() < 0.5:  # a blob: uneven and long, so that it looks like no class
            angles = np.sort(rng.uniform(0, 2 * math.pi, 7))
            points = rng.uniform(0.4, 1, (7, 1)) * np.stack([np.cos(angles), 0.5 * np.sin(angles)], axis=1)
        else:  # a bar, long and thin
            points = np.array([(1, 0.2), (-1, 0.2), (-1, -0.2), (1, -0.2)]) + rng.uniform(-0.1, 0.1, (4, 2))
        radius = size * rng.uniform(0.05, 0.2)
        points = rotate(points * radius, rng.uniform(0, 2 * math.pi)) + rng.uniform(0, size, 2)
        paint(image, fill(points, size), texture(size, rng))
    for _ in range(rng.integers(0, 5)):
        ends = rng.integers(0, size, (2, 2)).tolist()
        cv2.line(image, ends[0], ends[1], rng.uniform(0, 255, 3).tolist(), int(rng.integers(1, 3)), cv2.LINE_AA)
    return image


def rotate(points: np.ndarray, angle: float) -> np.ndarray:
    """Points (n, 2) turned about 0 by `angle` radians."""
    c, s = math.cos(angle), math.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


class Shape(NamedTuple):
    """An object in an image of (size, size) pixels.

    Attributes:
        name: its class.
        coverage: (size, size) float32 in [0, 1].
        seen: (size, size) bool, its visible pixels.
    """

    name: str
    coverage: np.ndarray
    seen: np.ndarray

    def segmentation(self) -> list[list[float]] | dict:
        """As COCO has it: its outline if all of it is visible, else run lengths of its visible pixels."""
        if (self.seen == (self.coverage > 0.5)).all():
            return [trace(self.seen)]
        code = mask.encode(np.asfortranarray(self.seen, np.uint8))
        return {'size': code['size'], 'counts': code['counts'].decode()}


def trace(pixels: np.ndarray, finer: int = 8) -> list[float]:
    """x1, y1, x2, ... of the largest outline of (size, size) bool pixels, measured from the image's edge as COCO does.

    Args:
        finer: OpenCV joins the centers of the pixels on the rim, hence these are made smaller by this factor.
    """
    fine = np.kron(pixels, np.ones((finer, finer), bool)).astype(np.uint8)
    contours, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = cv2.approxPolyDP(max(contours, key=cv2.contourArea), 0.6 * finer, closed=True)
    return np.round((contour.ravel() + 0.5) / finer, 2).tolist()


def place_objects(size: int, rng: Rng) -> list[Shape]:
    """Draw the objects of an image, from back to front.

    One that would hide more than 60 % of another is drawn anew, at most 20 times an object.
    """
    shapes: list[Shape] = []
    number = rng.integers(3, 9)
    for _ in range(20 * number):
        if len(shapes) == number:
            break
        name = CLASSES[rng.integers(len(CLASSES))]
        radius = size * rng.uniform(0.15, 0.4) / 2
        centre = rng.uniform(radius, size - radius, 2)
        coverage = fill(rotate(outline(name) * radius, rng.uniform(0, 2 * math.pi)) + centre, size)
        left = [shape._replace(seen=shape.seen & (coverage <= 0.5)) for shape in shapes]
        if all(shape.seen.sum() >= MIN_VISIBLE * (shape.coverage > 0.5).sum() for shape in left):
            shapes = [*left, Shape(name, coverage, coverage > 0.5)]
    return shapes


def annotate(shape: Shape) -> dict:
    """COCO's annotation without ids: category_id, bbox [x, y, w, h] in pixels and area of what is visible, iscrowd."""
    bbox = list(cv2.boundingRect(shape.seen.astype(np.uint8)))
    return {'category_id': CLASSES.index(shape.name) + 1, 'bbox': bbox, 'area': int(shape.seen.sum()), 'iscrowd': 0}


def draw_image(size: int, rng: Rng) -> tuple[np.ndarray, list[Shape]]:
    """Draw one image: (size, size, 3) uint8 BGR, and the objects in it."""
    image = background(size, rng)
    shapes = place_objects(size, rng)
    for shape in shapes:
        label = CLASSES.index(shape.name)
        kind = TEXTURES[label] if rng.random() < OWN_TEXTURE else None
        paint(image, shape.coverage, texture(size, rng, kind, HUES[label]))
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9))
    image += rng.normal(0, rng.uniform(2, 8), image.shape).astype(np.float32)
    return np.clip(np.round(image), 0, 255).astype(np.uint8), shapes


def semantic_map(shapes: Sequence[Shape], size: int) -> np.ndarray:
    """(size, size) uint8: 0 for the background, 1 + its class for an object."""
    labels = np.zeros((size, size), np.uint8)
    for shape in shapes:
        labels[shape.seen] = CLASSES.index(shape.name) + 1
    return labels


def make_split(out: Path, split: str, number: int, size: int = 160, seed: int = 0, with_masks: bool = False) -> dict:
    """Write images 1 to `number` of a split and its annotation file.

    Args:
        out: folder of the set; images go to out/images/{split}, annotations to out/annotations/instances_{split}.json.
        split: 'train' or 'val'.
        number: how many images.
        size: side of the images in pixels, at least 32.
        seed: 0 or more.
        with_masks: objects have a `segmentation`, and out/semantic/{split} gets semantic maps.

    Returns:
        The COCO dictionary that was written.

    Raises:
        ValueError: an argument is out of its range.
    """
    if number < 1 or size < 32 or seed < 0:
        raise ValueError(f'{split}: {number} images of {size} px, seed {seed}: need at least 1, 32 px and seed 0')
    folder = out / 'images' / split
    dataset = {'images': [], 'annotations': [], 'categories': [{'id': i, 'name': n} for i, n in enumerate(CLASSES, 1)]}
    for i in range(1, number + 1):
        image, shapes = draw_image(size, np.random.default_rng([seed, SPLITS.index(split), i]))
        name = f'{i:06d}.jpg'
        write_picture(folder / name, image)
        annotations = [annotate(shape) for shape in shapes]
        if with_masks:
            write_picture(out / 'semantic' / split / f'{i:06d}.png', semantic_map(shapes, size))
            annotations = [{**a, 'segmentation': s.segmentation()} for a, s in zip(annotations, shapes, strict=True)]
        dataset['images'].append({'id': i, 'file_name': name, 'width': size, 'height': size})
        first = len(dataset['annotations']) + 1
        dataset['annotations'] += [{'id': j, 'image_id': i, **a} for j, a in enumerate(annotations, first)]
    write_json(dataset, out / 'annotations' / f'instances_{split}.json')
    return dataset


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write an image file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise OSError(f'{path} cannot be written: is the disk full?')


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; bad input ends in one line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, metavar='OUT', help='output folder, such as data/shapes')
    parser.add_argument('--num-train', type=int, default=300, help='images of the train split')
    parser.add_argument('--num-val', type=int, default=100, help='images of the val split')
    parser.add_argument('--size', type=int, default=160, help='side of the images in pixels')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--with-masks', action='store_true', help='instance masks and semantic maps, too')
    args = parser.parse_args(argv)
    try:
        for split, number in zip(SPLITS, (args.num_train, args.num_val), strict=True):
            dataset = make_split(args.out, split, number, args.size, args.seed, args.with_masks)
            print(f'{args.out}, {split}: {number} images, {len(dataset["annotations"])} objects')
    except (OSError, ValueError) as e:
        sys.exit(f'error: {e}')


if __name__ == '__main__':
    main()
