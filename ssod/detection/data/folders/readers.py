"""Which format a labeled folder or file has, told by its content."""

from collections.abc import Sequence
from pathlib import Path

from ssod.core.errors import InputError

from . import coco, voc, yolo
from .structure import FolderIndex, LabelSource

LOOKED_FOR = (
    'a COCO JSON with annotations, Pascal VOC .xml files, or YOLO .txt files named as their images '
    '(beside them, or in labels/ for images/)'
)


def read_labels(path: Path, classes: Sequence[str] | None = None) -> LabelSource:
    """Read a labeled set in any of the three formats.

    Args:
        path: a folder, a COCO JSON, or the data.yaml of a YOLO set.
        classes: names of the class numbers, for a YOLO folder that has no file of names.

    Raises:
        InputError: there is nothing, the labels of no format or of two, or something in them is not in order.
    """
    if path.is_file():
        return read_label_file(path, classes)
    if not path.is_dir():
        raise InputError(f'{path} does not exist: give a folder with labels and images, or a COCO JSON')
    index = FolderIndex(path)
    found = {module: module.find(index) for module in (coco, voc, yolo)}
    kinds = [module for module, files in found.items() if files]
    if not kinds:
        raise InputError(f'{path} holds no labels: looked for {LOOKED_FOR}')
    if len(kinds) > 1:
        examples = ' and '.join(f'{module.KIND} ({found[module][0].relative_to(path)})' for module in kinds)
        raise InputError(f'{path} holds labels of several formats, {examples}: give the folder or file of one')
    return yolo.read(index, classes=classes) if kinds[0] is yolo else kinds[0].read(index, found[kinds[0]])


def read_label_file(path: Path, classes: Sequence[str] | None) -> LabelSource:
    """Read a COCO JSON or a YOLO set of which the data.yaml was given."""
    suffix = path.suffix.lower()
    if suffix not in ('.json', '.yaml', '.yml'):
        raise InputError(f'{path} is no label file: give a COCO .json, a YOLO data.yaml, or a folder with {LOOKED_FOR}')
    index = FolderIndex(path.parent)
    return coco.read(index, [path]) if suffix == '.json' else yolo.read(index, path, classes)
