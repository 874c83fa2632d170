"""YOLO text: a .txt file an image, `class x y width height` in shares of the image, names in a YAML or text file."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from ssod.core.errors import InputError
from ssod.core.screen import track

from .structure import FolderIndex, LabelSource, RawBox, RawImage, folder_split, some, with_train

KIND = 'YOLO text'
NAME_FILES = ('classes.txt', 'obj.names', 'classes.names', 'coco.names', 'names.txt')
NUMBERS = re.compile(r'\s*[\d.]+(\s+[-+.\dEeINFAinfa]+){4,}\s*$')


def find(index: FolderIndex) -> list[Path]:
    """Label files in a folder: .txt files of an image's name that are empty or hold rows of numbers.

    A folder whose files are all empty holds no label: nothing is found then.
    """
    paths = list(label_files(index).values())
    filled = [path for path in paths if path.stat().st_size]
    return paths if any(is_label(path) for path in filled) else []


def is_label(path: Path) -> bool:
    """Whether a text file begins with a row of a class number and at least four more numbers."""
    with path.open(encoding='utf-8', errors='replace') as file:
        return bool(NUMBERS.match(file.readline()))


def label_files(index: FolderIndex) -> dict[Path, Path]:
    """The label file of each image that has one: beside it, or where a folder `labels` runs parallel to `images`."""
    texts = set(index.having('.txt'))
    found = {}
    for image in index.images:
        candidates = [image.with_suffix('.txt')]
        parts = image.relative_to(index.root).parts
        for i, part in enumerate(parts[:-1]):
            if part.lower() == 'images':
                candidates.append(index.root.joinpath(*parts[:i], 'labels', *parts[i + 1 :]).with_suffix('.txt'))
        label = next((path for path in candidates if path in texts), None)
        if label:
            found[image] = label
    return found


def read(index: FolderIndex, config: Path | None = None, classes: Sequence[str] | None = None) -> LabelSource:
    """Read all label files of a folder.

    Args:
        config: the data.yaml, where a file was given.
        classes: names of the class numbers for a folder without any file of names.

    Raises:
        InputError: no file gives the class names, several do, or a label file is not in order.
    """
    labels = label_files(index)
    yaml_file, names = find_names(index, config, classes)
    splits: dict[str, list[RawImage]] = {'train': [], 'val': [], 'test': []}
    polygons = 0
    listed = listed_splits(yaml_file, index) if yaml_file else {}
    for image, label in track(labels.items(), 'reading labels'):
        boxes, from_polygon = read_boxes(label, names)
        polygons += from_polygon
        split = listed.get(image) or folder_split(image, index.root) or 'train'
        splits[split].append(RawImage(image, boxes))
    notes = []
    bare = [image.name for image in index.images if image not in labels]
    if bare:
        note = f'{len(bare)} images without a label file were left out ({some(bare)})'
        notes.append(f'{note}; an image without objects has an empty one')
    if polygons:
        notes.append(f'{polygons} boxes were drawn around polygons')
    return LabelSource(KIND, names, with_train(splits, index.root), relative=True, notes=notes)


def read_boxes(path: Path, names: Sequence[str]) -> tuple[list[RawBox], int]:
    """Boxes of a label file in shares of the image, and how many of them were polygons.

    Raises:
        InputError: a row is no box, its class has no name, or its numbers are pixels.
    """
    boxes, polygons = [], 0
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        if not line.strip():
            continue
        where = f'{path}, line {number}'
        try:
            label, *values = (float(value) for value in line.split())
        except ValueError as e:
            raise InputError(f'{where}: {line.strip()!r} is no row of numbers: write class x y width height') from e
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            raise InputError(f'{where} has {len(values) + 1} numbers: write class x y width height, or a polygon')
        if not 0 <= label < len(names) or label != int(label):
            raise InputError(f'{where} has the class {label:g}, but {len(names)} class names are given: add its name')
        # A box may reach a little past the image; that it lies far outside means that it is in pixels.
        if any(abs(value) > 2 for value in values):
            raise InputError(
                f'{where} has {max(values, key=abs):g}: YOLO has shares of the image, from 0 to 1, not pixels'
            )
        polygons += len(values) > 4
        boxes.append(RawBox(names[int(label)], to_corners(values)))
    return boxes, polygons


def to_corners(values: Sequence[float]) -> tuple[float, float, float, float]:
    """[x, y, w, h], x and y of the center, or the corners of a polygon [x1, y1, x2, y2, ...], as the box around it."""
    if len(values) > 4:
        return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
    x, y, w, h = values
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def find_names(index: FolderIndex, config: Path | None, classes: Sequence[str] | None) -> tuple[Path | None, list[str]]:
    """The YAML file of the set, None if there is none, and its class names, else those of a text file, else `classes`.

    Raises:
        InputError: none of these gives names, or several YAML files do.
    """
    yamls = [config] if config else [path for path in index.having('.yaml', '.yml') if 'names' in read_yaml(path)]
    if len(yamls) > 1:
        raise InputError(f'{index.root} has several data files, {some(yamls)}: give one of them')
    if yamls:
        names = read_yaml(yamls[0]).get('names') or []
        names = [names[key] for key in sorted(names)] if isinstance(names, dict) else names
        return yamls[0], [str(name) for name in names]
    texts = [path for path in index.files if path.name.lower() in NAME_FILES]
    if texts:
        return None, [line.strip() for line in texts[0].read_text(encoding='utf-8').splitlines() if line.strip()]
    if classes:
        return None, list(classes)
    raise InputError(f'{index.root} has no class names: add data.yaml or classes.txt, or give them with --classes')


def read_yaml(path: Path) -> dict:
    """The mapping in a YAML file.

    Raises:
        InputError: it is not YAML.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise InputError(f'{path} is not YAML: correct it ({" ".join(str(e).split())})') from e
    return content if isinstance(content, dict) else {}


def listed_splits(path: Path, index: FolderIndex) -> dict[Path, str]:
    """The split of each image that `train`, `val` and `test` of a data.yaml name, by folder or by a list of images.

    Paths are tried as they are, under the key `path` and under the YAML's folder; one of another machine says nothing.
    """
    content = read_yaml(path)
    bases = [path.parent, path.parent / str(content.get('path') or '')]
    images = {image.resolve(): image for image in index.images}
    listed: dict[Path, str] = {}
    for split in ('train', 'val', 'test'):
        values = content.get(split) or []
        values = [values] if isinstance(values, str) else values
        places = {(base / str(value)).resolve() for value in values for base in bases}
        for place in sorted(places):
            for found in named_by(place, list(images), bases):
                listed.setdefault(images[found], split)
    return listed


def named_by(place: Path, images: Sequence[Path], bases: Sequence[Path]) -> list[Path]:
    """Those of `images`, resolved paths, that lie in the folder `place`, or that the text file `place` lists."""
    if place.is_dir():
        return [image for image in images if image.is_relative_to(place)]
    if not place.is_file():
        return []
    lines = [line.strip() for line in place.read_text(encoding='utf-8').splitlines() if line.strip()]
    named = {(base / line).resolve() for base in (place.parent, *bases) for line in lines}
    return [image for image in images if image in named]
