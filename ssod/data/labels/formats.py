"""The formats by name, and which of them a file is of."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ssod.core.errors import InputError

from . import coco, cvat, labelstudio, png, yolo
from .structure import LabeledImage

FORMATS: dict[str, ModuleType] = dict(coco=coco, yolo=yolo, labelstudio=labelstudio, cvat=cvat, png=png)


def write_labels(images: Sequence[LabeledImage], classes: Sequence[str], kind: str, out: Path) -> Path:
    """Write images' labels in a format of ``FORMATS`` below the folder ``out``; returns the main file."""
    return FORMATS[kind].write(images, classes, out)


def read_labels(path: Path, kind: str | None = None) -> tuple[list[LabeledImage], list[str], list[str]]:
    """Read a file or folder of labels.

    Args:
        path: of the file or folder.
        kind: a format of ``FORMATS``; None: what it looks like.

    Returns:
        The images, the class names that it lists (none where it lists none), and sentences on what was left out.

    Raises:
        InputError: it is not there, of no known format, or not in order.
    """
    if not path.exists():
        raise InputError(f'{path} does not exist')
    return FORMATS[kind or format_of(path)].read(path)


def format_of(path: Path) -> str:
    """The format that a file or folder looks like.

    Raises:
        InputError: none.
    """
    if path.is_dir():
        return 'yolo' if (path / yolo.FILE).is_file() else 'png'
    if path.suffix in ('.yaml', '.yml'):
        return 'yolo'
    if path.suffix == '.xml':
        return 'cvat'
    if path.suffix == '.json':
        try:
            content = json.loads(path.read_text(encoding='utf-8-sig'))
        except ValueError as error:
            raise InputError(f'{path} is not JSON ({error}): export it again') from error
        if isinstance(content, dict) and 'kind' in content:
            return 'png'
        return 'labelstudio' if isinstance(content, list) else 'coco'
    raise InputError(
        f'{path} is of no known format: give a COCO or Label Studio .json, a CVAT .xml, a YOLO or PNG folder'
    )
