"""What can be wrong with corrected labels, said before anything is changed."""

import math
from collections.abc import Collection, Sequence

from ssod.core.errors import InputError

from .masks import as_code, box_around, decode
from .structure import LabeledImage, LabelObject

SLACK = 1.0  # pixels that a box may reach out of its image: programs round


def check_classes(found: Sequence[str], images: Sequence[LabeledImage], classes: Collection[str], path: object) -> None:
    """Refuse classes that the data set does not have.

    Raises:
        InputError: the file lists one, or an object is of one.
    """
    used = [*found, *(one.name for image in images for one in image.objects)]
    if other := [name for name in dict.fromkeys(used) if name not in classes]:
        raise InputError(
            f'{path} has the class {other[0]!r}, and the set has {", ".join(classes)}: rename it, or make the set anew '
            'with `ssod new`'
        )


def checked(image: LabeledImage, name: str, size: tuple[int, int], path: object) -> LabeledImage:
    """An image of a file under the name and the size that the data set has for it, boxes inside.

    Raises:
        InputError: another size, or a box that is no box.
    """
    image = image.sized(size)
    if image.size != size:
        raise InputError(f'{path}: {image.name} is of {image.size} pixels there, and of {size} in the set')
    objects = [checked_object(one, f'{path}: {image.name}', size) for one in image.objects]
    return LabeledImage(name, size, objects, image.labels)


def checked_object(one: LabelObject, where: str, size: tuple[int, int]) -> LabelObject:
    """An object whose box lies in the image of (width, height); rounding beyond it is cut."""
    x1, y1, x2, y2 = one.xyxy
    said = f'{where} has a {one.name} at {tuple(round(v, 1) for v in one.xyxy)}'
    if not all(map(math.isfinite, one.xyxy)):
        raise InputError(f'{said}, which is no box: correct it')
    if x2 <= x1 or y2 <= y1:
        raise InputError(f'{said}, without width or height: remove or correct it')
    if min(x1, y1) < -SLACK or x2 > size[0] + SLACK or y2 > size[1] + SLACK:
        raise InputError(f'{said}, out of its image of {size[0]} x {size[1]}: correct it')
    box = (max(x1, 0.0), max(y1, 0.0), min(x2, float(size[0])), min(y2, float(size[1])))
    mask = one.mask
    if mask is not None:
        mask = as_code(mask, *size)
        if tuple(mask['size']) != size[::-1]:
            raise InputError(f'{said} with a mask of {mask["size"][::-1]} pixels: export it again')
        if box_around(decode(mask)) == (0, 0, 0, 0):
            raise InputError(f'{said} with an empty mask: remove it')
    return LabelObject(one.name, box, None, mask)  # corrected: no model's score any more
