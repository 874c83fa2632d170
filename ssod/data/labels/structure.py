"""The labels of an image, whatever file they come from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .masks import box_around, decode, encode, fill

IGNORE = 255
Corners = tuple[float, float, float, float]


@dataclass
class LabelObject:
    """One object.

    Attributes:
        name: its class.
        xyxy: left, top, right, bottom in pixels of the image, measured from its corner.
        score: of the model that found it, in [0, 1]; None: a person drew it.
        mask: COCO's compressed run lengths, ``size`` (h, w) and ``counts``; None: it has none.
    """

    name: str
    xyxy: Corners
    score: float | None = None
    mask: dict | None = None


@dataclass
class LabeledImage:
    """An image and what is in it.

    Attributes:
        name: its file, relative to a folder of images, with slashes; or as another program calls it.
        size: (width, height) in pixels; None where the file does not say it, as YOLO's do not.
        objects: of the image; of a label map one for each class in it.
        labels: (h, w) uint8 label map with a class's number in each pixel, 255 where it is ignored; None: there is
            none, or it is to be drawn of the objects.
    """

    name: str
    size: tuple[int, int] | None = None
    objects: list[LabelObject] = field(default_factory=list)
    labels: np.ndarray | None = None

    def sized(self, size: tuple[int, int]) -> 'LabeledImage':
        """The same in pixels of an image of (width, height); what has a size already stays as it is."""
        if self.size is not None:
            return self
        sides = size * 2
        moved = [scaled(one, sides, size) for one in self.objects]
        return LabeledImage(self.name, size, moved, self.labels)


def scaled(one: LabelObject, sides: Sequence[float], size: tuple[int, int]) -> LabelObject:
    """An object in shares of its image, in pixels; ``mask`` holds its polygon until then."""
    xyxy = tuple(value * side for value, side in zip(one.xyxy, sides, strict=True))
    if one.mask is None:
        return LabelObject(one.name, xyxy, one.score)
    points = np.asarray(one.mask['polygon'], float).reshape(-1, 2) * size
    return LabelObject(one.name, xyxy, one.score, encode(fill([points], size)))


def objects_of_map(labels: np.ndarray, classes: Sequence[str]) -> list[LabelObject]:
    """One object for each class of a label map (h, w), its mask all pixels of the class."""
    found = []
    for number in np.unique(labels):
        if number < len(classes):
            mask = labels == number
            found.append(LabelObject(classes[number], box_around(mask), mask=encode(mask)))
    return found


def map_of_objects(image: LabeledImage, classes: Sequence[str]) -> np.ndarray:
    """(h, w) uint8 label map of an image's objects, the later over the earlier; 255 where none is.

    Raises:
        ValueError: an object without a mask.
    """
    width, height = image.size
    labels = np.full((height, width), IGNORE, np.uint8)
    for one in image.objects:
        if one.mask is None:
            raise ValueError(f'{image.name} has a {one.name} that is a box: a label map needs polygons or masks')
        labels[decode(one.mask)] = list(classes).index(one.name)
    return labels
