"""Corrected label maps into a set that ``ssod new --task segmentation`` made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssod.apis.config import read_config
from ssod.apis.labels.importing import Changes, backup_folder, keep
from ssod.core.errors import InputError
from ssod.data.images import image_size
from ssod.data.labels import LabeledImage
from ssod.data.labels.checking import check_classes, checked
from ssod.data.labels.matching import NameMatcher
from ssod.data.labels.structure import map_of_objects

from ..labeling import read_map, write_map
from .names import images_in

IGNORE = 255


def import_labels(
    changes: Changes,
    images: Sequence[LabeledImage],
    sources: Sequence[Path],
    classes: Sequence[tuple[Path, list[str]]],
    dry_run: bool,
) -> None:
    """Write the images' maps to ``labels/train``, their images' links to ``images/train``.

    A map that is a link to the file of the person who made the set is replaced by a file: theirs stays as it is.

    Args, raises: see :func:`ssod.detection.data.folders.importing.import_labels`.
    """
    folder = changes.folder
    names = class_names(folder)
    for path, own in classes:
        check_classes(own, images, names, path)
    parts = {part: images_in(str(folder / 'images' / part), None) for part in ('train', 'unlabeled')}
    files = {file: part for part in ('unlabeled', 'train') for file in parts[part].values()}
    finder = NameMatcher(files)
    maps: dict[str, np.ndarray] = {}
    for image, source in zip(images, sources, strict=True):
        name = finder.find(image.name)
        if name in maps:
            raise InputError(f'{source}: {image.name} is {name} of the set, which comes twice: give one of them')
        size = image_size(folder / 'images' / files[name] / name)
        maps[name] = map_of(checked(image, name, size, source), names, source)
    note(changes, maps, files, names)
    if not dry_run and (changes.added or changes.corrected):
        write(changes, maps)


def class_names(folder: Path) -> list[str]:
    """The classes that the set's configs say.

    Raises:
        InputError: it has no config.
    """
    for path in sorted(folder.glob('*/*.py')):
        if (found := read_config(path).get('classes')) is not None:
            return list(found)
    raise InputError(f'{folder} has no config that names its classes: make the set with `ssod new`')


def map_of(image: LabeledImage, classes: Sequence[str], source: Path) -> np.ndarray:
    """The label map of an image, drawn of its objects where it has none.

    Raises:
        InputError: a number beyond the classes, or a box.
    """
    if image.labels is None:
        try:
            return map_of_objects(image, classes)
        except ValueError as error:
            raise InputError(f'{source}: {error}') from error
    numbers = np.unique(image.labels[image.labels != IGNORE])
    if len(numbers) and numbers[-1] >= len(classes):
        raise InputError(
            f'{source}: {image.name} holds the number {numbers[-1]}, the classes are 0 to {len(classes) - 1}'
        )
    return image.labels


def note(changes: Changes, maps: dict[str, np.ndarray], files: dict[str, str], classes: Sequence[str]) -> None:
    """Fill in what changes; of each class the labeled images that show it are counted."""
    folder = changes.folder / 'labels/train'
    before = {path.relative_to(folder).with_suffix('').as_posix(): read_map(path) for path in folder.rglob('*.png')}
    after = dict(before)
    for name, labels in maps.items():
        key = Path(name).with_suffix('').as_posix()
        if files[name] == 'unlabeled':
            changes.added.append(name)
        else:
            same = before.get(key) is not None and np.array_equal(before[key], labels)
            (changes.same if same else changes.corrected).append(name)
        after[key] = labels
    changes.before, changes.after = (
        {name: sum(bool((own == number).any()) for own in each.values()) for number, name in enumerate(classes)}
        for each in (before, after)
    )


def write(changes: Changes, maps: dict[str, np.ndarray]) -> None:
    """Keep what was there, and write: the map first, so that no image is labeled without one."""
    folder = changes.folder
    changes.backup = backup_folder(folder)
    for name in (*changes.added, *changes.corrected):
        path = (folder / 'labels/train' / name).with_suffix('.png')
        if path.exists() or path.is_symlink():
            keep(path, folder, changes.backup)
        write_map(maps[name], path, None)  # takes the place of a link, not of what it leads to
        old, new = (folder / 'images' / part / name for part in ('unlabeled', 'train'))
        if name in changes.added:
            keep(old, folder, changes.backup)
            new.parent.mkdir(parents=True, exist_ok=True)
            old.replace(new)
