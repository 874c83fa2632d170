"""COCO JSON: annotation files known by their content, their images found by the names that the file gives."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from ssod.core.errors import InputError
from ssod.data.coco import check
from ssod.data.files import read_json

from .structure import SPLIT_WORDS, FolderIndex, LabelSource, RawBox, RawImage, folder_split, some, split_of, with_train

KIND = 'COCO JSON'
OWN_KEYS = ('id', 'image_id', 'category_id', 'bbox', 'iscrowd')


def find(index: FolderIndex) -> list[Path]:
    """COCO annotation files with annotations in a folder, known by their lists."""
    return [path for path in index.having('.json') if is_coco(path)]


def is_coco(path: Path) -> bool:
    """Whether a JSON file holds images and, as a mere image list does not, annotations."""
    try:
        content = read_json(path)
    except InputError:
        return False
    return isinstance(content.get('images'), list) and bool(content.get('annotations'))


def read(index: FolderIndex, paths: list[Path]) -> LabelSource:
    """Read the annotation files `paths`, at most one for each split; file and folder names tell the split.

    Raises:
        InputError: several files may be the same split, or see `read_file` and `find_images`.
    """
    by_split: dict[str, Path] = {}
    for path in paths:
        split = split_of(path.relative_to(index.root)) or 'train'
        if split in by_split:
            pair = f'{by_split[split].name} and {path.relative_to(index.root)}'
            raise InputError(f'{index.root} has several files that may be the part `{split}`, {pair}: give one of them')
        by_split[split] = path
    source = LabelSource(KIND, [], {})
    for split, path in by_split.items():
        content = read_checked(path)
        names = [category['name'] for category in content['categories']]
        if source.classes and sorted(source.classes) != sorted(names):
            raise InputError(f'{path} has the categories {some(names, 9)}, another split {some(source.classes, 9)}')
        source.classes = source.classes if source.classes and 'train' in source.splits else names
        source.splits[split] = read_images(content, path, index, source.notes)
    source.splits = with_train(source.splits, index.root)
    return source


def read_checked(path: Path) -> dict:
    """The content of an annotation file whose lists, ids and categories are in order.

    Raises:
        InputError: one sentence on what is not in order.
    """
    content = read_json(path)
    try:
        check(content, ('images', 'annotations', 'categories'), str(path))
    except ValueError as e:
        raise InputError(str(e)) from e
    categories = content['categories']
    if not all(isinstance(c, dict) and 'id' in c and isinstance(c.get('name'), str) for c in categories):
        raise InputError(f"{path} has a category without 'id' or 'name': complete it")
    for key in ('id', 'name'):
        value, count = Counter(c[key] for c in categories).most_common(1)[0] if categories else (None, 0)
        if count > 1:
            raise InputError(f'{path} has {count} categories of the {key} {value!r}: make them unique')
    if not all(isinstance(a, dict) for a in content['annotations']):
        raise InputError(f'{path} has an annotation that is no dictionary: export it again')
    ids = {c['id'] for c in categories}
    unknown = Counter(a.get('category_id') for a in content['annotations'] if a.get('category_id') not in ids)
    if unknown:
        value, count = unknown.most_common(1)[0]
        raise InputError(f'{path}: {count} annotations have the category id {value}, which its categories lack: add it')
    return content


def read_images(content: dict, path: Path, index: FolderIndex, notes: list[str]) -> list[RawImage]:
    """Images and boxes of one annotation file; sentences on what was left out are added to `notes`."""
    names = {c['id']: c['name'] for c in content['categories']}
    boxes = defaultdict(list)
    for annotation in content['annotations']:
        extra = {key: value for key, value in annotation.items() if key not in OWN_KEYS}
        box = RawBox(names[annotation['category_id']], to_corners(annotation.get('bbox')), crowd=False, extra=extra)
        box.crowd = bool(annotation.get('iscrowd', 0))
        boxes[annotation.get('image_id')].append(box)
    repeated = len(content['annotations']) - len({repr(a.get('id')) for a in content['annotations']})
    if repeated:
        notes.append(f'{path.name}: {repeated} annotations with an id used before were numbered anew')
    orphans = sum(len(boxes[key]) for key in set(boxes) - {image['id'] for image in content['images']})
    if orphans:
        notes.append(f'{path.name}: {orphans} annotations that belong to no image of the file were left out')
    files = find_images([str(image.get('file_name', '')) for image in content['images']], path, index)
    lost = [str(image.get('file_name')) for image, file in zip(content['images'], files, strict=True) if file is None]
    if lost:
        notes.append(f'{path.name}: {len(lost)} images that are not there were left out ({some(lost)})')
    return [
        RawImage(file, boxes[image['id']], to_size(image))
        for image, file in zip(content['images'], files, strict=True)
        if file is not None
    ]


def to_corners(bbox: Any) -> tuple[float, float, float, float]:
    """COCO's [x, y, w, h] as (left, top, right, bottom); any other value becomes four nan, which later checks count."""
    try:
        x, y, w, h = (float(value) for value in bbox)
    except (TypeError, ValueError):
        return (math.nan,) * 4
    return x, y, x + w, y + h


def to_size(image: dict) -> tuple[int, int]:
    """(width, height) of an entry of `images`; (0, 0) where it has none."""
    try:
        return int(image.get('width') or 0), int(image.get('height') or 0)
    except (TypeError, ValueError):
        return 0, 0


def find_images(names: Sequence[str], path: Path, index: FolderIndex) -> list[Path | None]:
    """The file of each `file_name`, None where it is not there.

    The names may be relative to any folder near the annotation file, or be paths of another machine: what counts is
    how many of the last parts agree. A folder that is named like the annotation file wins among equals.

    Raises:
        InputError: none is there.
    """
    for folder in folders_near(path, index):
        by_name = defaultdict(list)
        for file in (index if folder == index.root else FolderIndex(folder)).images:
            by_name[file.name].append(file)
        found = [best_match(parts_of(name), by_name, path, folder) for name in names]
        if any(found):
            return found
    raise InputError(f'{path}: none of its images is there ({some(names)}; looked under {folder}): put it beside them')


def folders_near(path: Path, index: FolderIndex) -> list[Path]:
    """Folders to look for images under: the one given; those above it, where it has annotations and no image."""
    root = index.root
    if path.parent != root or index.images:  # above it may be another set, with the same file names
        return [root]
    above = 2 if root.name == 'semi_supervised' else 1
    return [root, *list(root.absolute().parents)[:above]]


def parts_of(name: str) -> tuple[str, ...]:
    """Parts of a file name, whichever slash it was written with."""
    return PurePosixPath(name.replace('\\', '/')).parts


def best_match(parts: tuple[str, ...], by_name: dict[str, list[Path]], annotations: Path, root: Path) -> Path | None:
    """The file under `root` that fits a name best: most last parts equal, then of the same split, then nearest.

    A file in a folder of another split than the annotation file's is another image of the same name.
    """
    split = split_of(Path(annotations.parent.name, annotations.name))
    others = set(SPLIT_WORDS) - {split} if split else set()
    candidates = [f for f in by_name.get(parts[-1], []) if folder_split(f, root) not in others] if parts else []

    def fit(file: Path) -> tuple[int, bool, bool, int]:
        pairs = zip(reversed(parts), reversed(file.parts), strict=False)
        equal = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return equal, folder_split(file, root) == split, file.parent == annotations.parent, -len(file.parts)

    return max(candidates, key=fit, default=None)
