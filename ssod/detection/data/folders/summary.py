"""What a data set is like, in figures: what a person looks at before training, and what settings follow from."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from terminaltables import AsciiTable

from ssod.detection.checks import has_mask

# Of a box's shorter side after scaling. Under it a feature map of stride 4 has less than a cell for it.
VANISHING = 4
# MMDetection's CocoDataset drops images with a shorter side in training.
LEAST_SIDE = 32
# The scale of COCO's configs: no more for larger images.
LARGEST_SCALE = (1333, 800)
QUANTILES = (0.05, 0.5, 0.95)


@dataclass
class SplitSummary:
    """Figures of one annotation file.

    Attributes:
        images: how many.
        boxes: how many of each class, all classes named.
        boxes_per_image: their mean, and their 5, 50 and 95 % quantiles.
        image_size: median (width, height) in pixels.
        box_size: 5, 50, 95 % quantiles of the square root of the area in pixels; empty without boxes.
        box_share: the same quantiles of a box's shorter side over its image's longer one; empty without boxes.
        vanishing: boxes whose shorter side is under 4 pixels at the training scale.
        small_images: images with a side under 32 pixels, which MMDetection leaves out.
        masks: boxes with a mask, crowds aside.
        maskless: boxes without one, crowds aside.
    """

    images: int
    boxes: dict[str, int]
    boxes_per_image: tuple[float, ...]
    image_size: tuple[int, int]
    box_size: tuple[float, ...]
    box_share: tuple[float, ...]
    vanishing: int
    small_images: int
    masks: int = 0
    maskless: int = 0


@dataclass
class DataSummary:
    """What a config is written from.

    Attributes:
        name: of the set.
        root: the folder with annotations/ and images/, as a string.
        classes: class names, as all annotation files order them.
        scale: (long, short) side in pixels that images are resized to fit in, see `fitting_scale`.
        splits: 'labeled', 'unlabeled', 'val' and, where there is one, 'test'.
        with_masks: the config is to train masks, too.
    """

    name: str
    root: str
    classes: list[str]
    scale: tuple[int, int]
    splits: dict[str, SplitSummary]
    with_masks: bool = False

    def to_dict(self) -> dict:
        """As JSON takes it."""
        return asdict(self)


def fitting_scale(dataset: dict) -> tuple[int, int]:
    """(long, short) side in pixels: the medians of the images, scaled down to fit in 1333 x 800."""
    sizes = np.sort([(image['width'], image['height']) for image in dataset['images']], axis=1)
    short, long = np.median(sizes, axis=0)
    factor = min(1, LARGEST_SCALE[0] / long, LARGEST_SCALE[1] / short)
    return round(long * factor), round(short * factor)


def summarize(dataset: dict, scale: tuple[int, int]) -> SplitSummary:
    """Figures of a COCO dictionary whose images are resized to fit in `scale`, (long, short) in pixels."""
    names = {category['id']: category['name'] for category in dataset['categories']}
    sizes = {image['id']: (image['width'], image['height']) for image in dataset['images']}
    per_class = Counter(names[a['category_id']] for a in dataset['annotations'])
    per_image = Counter(a['image_id'] for a in dataset['annotations'])
    counts = [per_image[key] for key in sizes]
    sides = np.array([a['bbox'][2:] for a in dataset['annotations']]).reshape(-1, 2)
    factors = np.array([resize_factor(sizes[a['image_id']], scale) for a in dataset['annotations']])
    roots = np.sqrt(sides.prod(axis=1))
    least = sides.min(axis=1)
    objects = [has_mask(a.get('segmentation')) for a in dataset['annotations'] if not a.get('iscrowd')]
    shares = least / np.array([max(sizes[a['image_id']]) for a in dataset['annotations']])
    return SplitSummary(
        images=len(sizes),
        boxes={name: per_class[name] for name in names.values()},
        boxes_per_image=(float(np.mean(counts)), *np.quantile(counts, QUANTILES).tolist()) if counts else (),
        image_size=tuple(int(side) for side in np.median(list(sizes.values()), axis=0)) if sizes else (0, 0),
        box_size=tuple(np.quantile(roots, QUANTILES).tolist()) if len(roots) else (),
        box_share=tuple(np.quantile(shares, QUANTILES).tolist()) if len(shares) else (),
        vanishing=int((least * factors < VANISHING).sum()),
        small_images=sum(min(size) < LEAST_SIDE for size in sizes.values()),
        masks=sum(objects),
        maskless=len(objects) - sum(objects),
    )


def resize_factor(size: tuple[int, int], scale: tuple[int, int]) -> float:
    """By how much MMDetection resizes an image with `keep_ratio`: until it touches one of the two sides of `scale`."""
    return min(scale[0] / max(size), scale[1] / min(size))


def table(splits: Mapping[str, SplitSummary]) -> str:
    """The figures of all splits as text, one column per split; unlabeled images have no figures of boxes."""

    def row(title: str, cell: Callable[[SplitSummary], str], of_boxes: bool = True) -> list[str]:
        return [title, *('' if of_boxes and name == 'unlabeled' else cell(s) for name, s in splits.items())]

    def numbers(values: Sequence[float]) -> str:
        return ', '.join(f'{value:.0f}' for value in values)

    classes = next(iter(splits.values())).boxes
    rows = [
        ['', *splits],
        row('images', lambda s: str(s.images), of_boxes=False),
        row('image size, median', lambda s: f'{s.image_size[0]} x {s.image_size[1]}', of_boxes=False),
        *(row(f'boxes: {name}', lambda s, name=name: str(s.boxes[name])) for name in classes),
        row('boxes per image, mean', lambda s: f'{s.boxes_per_image[0]:.1f}' if s.images else ''),
        row('boxes per image: 5, 50, 95 %', lambda s: numbers(s.boxes_per_image[1:])),
        row('box size in pixels: 5, 50, 95 %', lambda s: numbers(s.box_size)),
        row(f'boxes under {VANISHING} px in training', lambda s: str(s.vanishing)),
    ]
    if any(split.masks for split in splits.values()):
        rows.append(row('boxes with a mask', lambda s: str(s.masks)))
    return AsciiTable(rows).table
