"""What the readers of COCO, Pascal VOC and YOLO folders give: images with boxes, by split."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssod.core.errors import InputError
from ssod.data.images import is_image, walk

SPLIT_WORDS = {
    'train': ('train', 'training'),
    'val': ('val', 'valid', 'validation'),
    'test': ('test', 'testing'),
}


@dataclass
class RawBox:
    """One box as a label file gives it.

    Attributes:
        name: its class.
        xyxy: left, top, right, bottom, measured from the image's corner; see `LabelSource.relative`. Not checked.
        crowd: it stands for a group or is too difficult to count; neither object nor background.
        extra: what else a COCO file says of it, such as its mask.
    """

    name: str
    xyxy: tuple[float, float, float, float]
    crowd: bool = False
    extra: dict = field(default_factory=dict)


@dataclass
class RawImage:
    """An image file, its boxes, and its (width, height) as the label file has it, None where it has none."""

    path: Path
    boxes: list[RawBox]
    size: tuple[int, int] | None = None


@dataclass
class LabelSource:
    """All that a labeled folder holds.

    Attributes:
        kind: name of the format.
        classes: class names in the order of the file; sorted by name where the format has no order.
        splits: images of 'train', 'val' and 'test', those that are there.
        relative: boxes are in shares of the image's width and height, not in pixels.
        notes: sentences on what was left out or mended while reading.
    """

    kind: str
    classes: list[str]
    splits: dict[str, list[RawImage]]
    relative: bool = False
    notes: list[str] = field(default_factory=list)


class FolderIndex:
    """The files under a folder, listed once.

    Attributes:
        root: the folder.
        files: all files under it, sorted, without hidden ones.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = list(walk(root))

    def having(self, *suffixes: str) -> list[Path]:
        """Files with one of these endings, which are in lower case and begin with a dot."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    @property
    def images(self) -> list[Path]:
        """Image files."""
        return [path for path in self.files if is_image(path)]


def split_of(path: Path) -> str | None:
    """The split that a path names, its last parts first: valid/a.jpg, instances_val2017.json -> 'val'; None: none."""
    for part in reversed(path.parts):
        words = re.split(r'[^a-z]+', part.lower())
        for split, names in SPLIT_WORDS.items():
            if set(words) & set(names):
                return split
    return None


def folder_split(path: Path, root: Path) -> str | None:
    """`split_of` the folders between `root` and a file; the file's own name says nothing."""
    return split_of(path.parent.relative_to(root))


def with_train(splits: dict[str, list[RawImage]], root: Path) -> dict[str, list[RawImage]]:
    """The splits that have images; a single one, whatever its name, is what to learn from.

    Raises:
        InputError: there are several and none is for training, or there is none.
    """
    splits = {split: images for split, images in splits.items() if images}
    if len(splits) == 1:
        return {'train': next(iter(splits.values()))}
    if 'train' not in splits:
        found = f'only {" and ".join(sorted(splits))}' if splits else 'no labeled image'
        raise InputError(f'{root} has {found}: name a folder, list or file `train`, or give that part alone')
    return splits


def some(names: Iterable[object], number: int = 3) -> str:
    """The first few of `names`, for a message."""
    names = [str(name) for name in names]
    return ', '.join(names[:number]) + (', ...' if len(names) > number else '')


def chosen_classes(found: Sequence[str], wanted: Sequence[str] | None, what: object) -> list[str]:
    """The classes wanted, in their order; all of `found` where none are named.

    Raises:
        InputError: one of them is not there, is named twice, or there is none at all.
    """
    if not wanted:
        if not found:
            raise InputError(f'{what} has no class: it needs at least one box')
        return list(found)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(f'{what} has no class {missing[0]!r}; it has {some(found, 20)}: correct --classes')
    if len(set(wanted)) < len(wanted):
        raise InputError(f'--classes names a class twice: {some(wanted, 20)}')
    return list(wanted)
