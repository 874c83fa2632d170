"""Boxes as MMDetection can learn from them: in pixels, inside their image, of the chosen classes; repairs counted."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssod.data.images import ImageFacts

from .structure import RawBox, RawImage, some

Corners = tuple[float, float, float, float]
REPAIRS = {
    'nan': 'boxes that are no four numbers were dropped',
    'flat': 'boxes without width or height were dropped',
    'outside': 'boxes outside their image were dropped',
    'clipped': 'boxes that reach out of their image were clipped',
    'other': 'boxes of other classes were left out',
    'unreadable': 'images that cannot be read were left out',
    'size': 'images have a size that is 0 or wrong in their label file: it was read from the image, boxes were kept',
    'mask': 'masks that do not fit their image were left out, their boxes were kept',
    'turned': 'images are turned by EXIF and their label file has the size before turning: see if their boxes fit',
}
# Rounding in a label file is not worth a word.
SLACK = 0.5


def clip_box(xyxy: Corners, width: int, height: int) -> Corners | None:
    """A box in pixels, cut to its `width` x `height` image; None where nothing is left."""
    x1, y1, x2, y2 = xyxy
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


class Cleaner:
    """Turns images and boxes of a label file into COCO's lists, and keeps count of what it mends.

    Args:
        facts: of each image file, None for one that cannot be read.
        classes: chosen classes; the category ids are 1, 2, ... in this order.

    Attributes:
        repairs: for each kind of `REPAIRS`, the image names, one for each box or image.
    """

    def __init__(self, facts: Mapping[Path, ImageFacts | None], classes: Sequence[str]) -> None:
        self.facts = facts
        self.category_ids = {name: i for i, name in enumerate(classes, 1)}
        self.repairs: dict[str, list[str]] = {}

    def count(self, kind: str, image: RawImage) -> None:
        """Note one repair in an image."""
        self.repairs.setdefault(kind, []).append(image.path.name)

    def readable(self, images: Sequence[RawImage]) -> list[RawImage]:
        """The images that can be read."""
        for image in images:
            if self.facts[image.path] is None:
                self.count('unreadable', image)
        return [image for image in images if self.facts[image.path] is not None]

    def clean_box(self, box: RawBox, image: RawImage, relative: bool) -> Corners | None:
        """A box in pixels inside its image; None if it is to be dropped."""
        facts = self.facts[image.path]
        sides = (facts.width, facts.height) * 2 if relative else (1, 1, 1, 1)
        xyxy = tuple(value * side for value, side in zip(box.xyxy, sides, strict=True))
        if box.name not in self.category_ids:
            self.count('other', image)
        elif not all(math.isfinite(value) for value in xyxy):
            self.count('nan', image)
        elif xyxy[2] <= xyxy[0] or xyxy[3] <= xyxy[1]:
            self.count('flat', image)
        else:
            return self._clipped(xyxy, image)
        return None

    def _clipped(self, xyxy: Corners, image: RawImage) -> Corners | None:
        facts = self.facts[image.path]
        kept = clip_box(xyxy, facts.width, facts.height)
        if kept is None:
            self.count('outside', image)
        elif max(abs(a - b) for a, b in zip(kept, xyxy, strict=True)) > SLACK:
            self.count('clipped', image)
        return kept

    def fitting(self, extra: dict, image: RawImage) -> dict:
        """What a COCO file says of a box beyond it, without run lengths of another size than the image's."""
        facts, segmentation = self.facts[image.path], extra.get('segmentation')
        if not isinstance(segmentation, dict) or segmentation.get('size') == [facts.height, facts.width]:
            return extra
        self.count('mask', image)
        return {key: value for key, value in extra.items() if key != 'segmentation'}

    def check_size(self, image: RawImage) -> None:
        """Count a size in the label file that is not the image's."""
        facts = self.facts[image.path]
        if image.size is None or image.size == (facts.width, facts.height):
            return
        turned = facts.turned and image.size == (facts.height, facts.width)
        self.count('turned' if turned else 'size', image)

    def to_coco(self, images: Sequence[RawImage], root: Path, relative: bool = False) -> dict:
        """COCO dictionary of readable images; `file_name` is relative to `root`, ids are 1, 2, ..."""
        dataset = coco_images([image.path for image in images], self.facts, root, list(self.category_ids))
        for entry, image in zip(dataset['images'], images, strict=True):
            self.check_size(image)
            for box in image.boxes:
                kept = self.clean_box(box, image, relative)
                if kept is None:
                    continue
                x1, y1, x2, y2 = kept
                bbox = [x1, y1, x2 - x1, y2 - y1]
                area = box.extra.get('area')
                area = area if isinstance(area, int | float) and 0 < area < math.inf else bbox[2] * bbox[3]
                annotation = dict(id=len(dataset['annotations']) + 1, image_id=entry['id'])
                annotation.update(category_id=self.category_ids[box.name], bbox=bbox, area=area, iscrowd=int(box.crowd))
                dataset['annotations'].append({**self.fitting(box.extra, image), **annotation})
        return dataset

    def sentences(self) -> list[str]:
        """What was mended, a sentence for each kind, with the first images."""
        found = [(kind, Counter(self.repairs[kind])) for kind in REPAIRS if kind in self.repairs]
        return [f'{names.total()} {REPAIRS[kind]} ({some(names)})' for kind, names in found]


def coco_images(
    paths: Sequence[Path], facts: Mapping[Path, ImageFacts | None], root: Path, classes: Sequence[str]
) -> dict:
    """COCO dictionary of images without annotations; `file_name` is relative to `root`, with slashes."""
    images = [
        dict(id=i, file_name=path.relative_to(root).as_posix(), width=facts[path].width, height=facts[path].height)
        for i, path in enumerate(paths, 1)
    ]
    categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
    return dict(images=images, annotations=[], categories=categories)
