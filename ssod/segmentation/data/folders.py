"""`ssod new --task segmentation`: folders of images and label maps as a data set, with configs that train on it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ssod.apis.runs import ROOT
from ssod.core.errors import InputError
from ssod.core.screen import track
from ssod.data.duplicates import groups_to_split
from ssod.data.images import look_at_all
from ssod.data.splitting import draw_part, part_size

from .names import images_in

IGNORE = 255
IMAGES = ('images', 'image', 'imgs', 'img', 'JPEGImages')
LABELS = ('labels', 'masks', 'label', 'mask', 'annotations', 'SegmentationClass')
METHODS = ('supervised', 'simple_baseline', 'fixmatch')
CONFIG = 'deeplabv3plus_mobilenet_v2_own_folder.py'


class Pair(NamedTuple):
    """An image and its label map, by absolute paths, and the name that both get."""

    name: str
    image: Path
    labels: Path


@dataclass(frozen=True)
class Report:
    """What was made.

    Attributes:
        folder: of the data set.
        counts: images of each part.
        classes: names, by number.
        shares: of the labeled pixels, of each class.
        notes: sentences on what was done.
    """

    folder: Path
    counts: dict[str, int]
    classes: list[str]
    shares: list[float]
    notes: list[str]

    def __str__(self) -> str:
        parts = ', '.join(f'{count} {part}' for part, count in self.counts.items())
        classes = ', '.join(f'{c} {100 * share:.1f} %' for c, share in zip(self.classes, self.shares, strict=True))
        student = self.folder / f'simple_baseline/{self.folder.name}.py'
        lines = [f'{self.folder}: {parts} images', f'classes, by share of the labeled pixels: {classes}', *self.notes]
        lines += ['', f'ssod train {self.folder}/supervised/{self.folder.name}.py']
        lines += [
            f'bash tools/train_rounds.sh {student} 1 1',
            f'ssod train {self.folder}/fixmatch/{self.folder.name}.py',
        ]
        return '\n'.join(lines)


def new_dataset(
    name: str,
    labeled: str | Path,
    unlabeled: str | Path | None = None,
    val: str | Path | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    force: bool = False,
    labeled_percent: float = 10,
) -> Report:
    """Link images and label maps into ``data/NAME`` and write configs; see :func:`ssod.apis.new_dataset`.

    ``labeled`` and ``val`` hold a folder of images (``images``) and one of label maps (``labels``, ``masks``), PNGs of
    the same names; a map has a class number in each pixel, and 255 where it is to be ignored. Both may have folders
    ``train``, ``val`` and ``test`` in them: then the first two are the parts, and the third is left alone. Parts that
    are drawn keep images that look alike together, such as frames of a video.

    Raises:
        InputError: one sentence on what is missing or wrong, and where.
    """
    folder = Path(out) if out else Path('data') / name
    if folder.exists() and any(folder.iterdir()) and not force:
        raise InputError(f'{folder} is there: give --force to write over it, or another --out')
    if not 0 < labeled_percent < 100:
        raise InputError(f'{labeled_percent} percent of the images cannot keep their labels: it is above 0, below 100')
    parts, notes = own_parts(pairs_in(Path(labeled)), bool(val))
    if val:
        parts['val'] = pairs_in(Path(val))
    everything = [pair for pairs in parts.values() for pair in pairs]
    found = {pair: look(pair) for pair in track(everything, 'reading label maps')}
    if 'val' not in parts:
        parts['val'], parts['train'] = divided(parts['train'], found, part_size(len(parts['train'])), seed)
        notes.append(f'no validation images were given: {len(parts["val"])} of the labeled ones are set apart')
    if unlabeled:
        files = images_in(str(unlabeled), None)
        rest = {key: (Path(unlabeled) / file).absolute() for key, file in files.items()}
    else:
        total = len(parts['train'])
        keep = max(round(total * labeled_percent / 100), min(20, total // 2), 1)
        parts['train'], others = divided(parts['train'], found, keep, seed + 1)
        rest = {pair.name: pair.image for pair in others}
        kept = len(parts['train'])
        notes.append(f'no unlabeled images were given: {kept} of {total} labeled ones keep their labels, to try')
    if not all([*parts.values(), rest]):
        raise InputError(
            f'{labeled} has too few images for training, validation and unlabeled parts: give more of them'
        )
    names, shares = named_classes(found, classes)
    write(folder, parts, rest)
    write_configs(folder, names)
    counts = {'labeled': len(parts['train']), 'unlabeled': len(rest), 'validation': len(parts['val'])}
    return Report(folder, counts, names, shares, notes)


def own_parts(pairs: list[Pair], val_given: bool) -> tuple[dict[str, list[Pair]], list[str]]:
    """The parts that a set's own folders ``train`` and ``val`` make, and a sentence on what is left alone.

    Args:
        pairs: of the set.
        val_given: validation images come from elsewhere; the set's own are left alone.
    """
    parts: dict[str, list[Pair]] = {}
    for pair in pairs:
        parts.setdefault(Path(pair.name).parts[0], []).append(pair)
    if not {'train', 'val'} <= parts.keys():
        return {'train': pairs}, []
    used = ('train',) if val_given else ('train', 'val')
    left = {part: len(own) for part, own in parts.items() if part not in used}
    notes = [f'{count} images of {part} are left alone' for part, count in left.items()]
    return {part: parts[part] for part in used}, notes


def pairs_in(folder: Path) -> list[Pair]:
    """The images of a folder with their label maps, sorted by name.

    Raises:
        InputError: no folder of images or of maps, or an image without a map.
    """
    places = []
    for names, what in ((IMAGES, 'images'), (LABELS, 'label maps')):
        there = [folder / name for name in names if (folder / name).is_dir()]
        if not there:
            raise InputError(f'{folder} has no folder of {what}: it may be called {", ".join(names)}')
        places.append(there[0])
    images, maps = (images_in(str(place), None) for place in places)
    if missing := sorted(images.keys() - maps.keys()):
        raise InputError(
            f'{len(missing)} images of {places[0]} have no label map in {places[1]}, the first {missing[0]}'
        )
    return [
        Pair(name, (places[0] / images[name]).absolute(), (places[1] / maps[name]).absolute())
        for name in sorted(images)
    ]


def look(pair: Pair) -> np.ndarray:
    """(256,) pixels of each number in a pair's label map.

    Raises:
        InputError: the map cannot be read, has several channels or another size than its image.
    """
    try:
        with Image.open(pair.image) as image, Image.open(pair.labels) as file:
            size, labels = image.size, np.array(file)
    except OSError as error:
        raise InputError(f'{pair.image} or {pair.labels} cannot be read as an image') from error
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise InputError(
            f'{pair.labels} is no label map: it wants 8 bits and one channel, a class number in each pixel'
        )
    if labels.shape != size[::-1]:
        raise InputError(f'{pair.labels} is of {labels.shape[::-1]} pixels, its image of {size}')
    return np.bincount(labels.reshape(-1), minlength=256)


def divided(
    pairs: Sequence[Pair], found: dict[Pair, np.ndarray], size: int, seed: int
) -> tuple[list[Pair], list[Pair]]:
    """A part of about ``size`` pairs, whole groups of look-alikes, with every class if possible; and the rest."""
    facts = look_at_all(pair.image for pair in pairs)
    if unreadable := [path for path, fact in facts.items() if fact is None]:
        raise InputError(f'{unreadable[0]} is not a readable image: replace it')
    looks = np.array([facts[pair.image].look for pair in pairs], bool).reshape(-1, 64)
    groups, _ = groups_to_split(looks, [facts[pair.image].digest for pair in pairs])
    present = [set(map(str, np.flatnonzero(found[pair][:IGNORE]))) for pair in pairs]
    taken = set(draw_part(groups.tolist(), present, size, seed))
    return [pairs[i] for i in sorted(taken)], [pair for i, pair in enumerate(pairs) if i not in taken]


def named_classes(found: dict[Pair, np.ndarray], classes: Sequence[str] | None) -> tuple[list[str], list[float]]:
    """Names of the classes, by number, and their shares of the labeled pixels.

    Raises:
        InputError: a map holds a number beyond the names that were given.
    """
    counts = sum(found.values())[:IGNORE]
    highest = int(np.flatnonzero(counts).max(initial=-1))
    names = list(classes) if classes else [f'class {number}' for number in range(highest + 1)]
    if highest >= len(names):
        pair = next(pair for pair, numbers in found.items() if numbers[highest])
        raise InputError(f'{pair.labels} holds {highest}, and --classes names {len(names)}: 0 to {len(names) - 1}')
    return names, (counts[: len(names)] / max(counts.sum(), 1)).tolist()


def write(folder: Path, parts: dict[str, list[Pair]], unlabeled: dict[str, Path]) -> None:
    """Link images and label maps; the links of an earlier set go, or its labeled images would stay among these."""
    for old in ('images', 'labels'):
        for path in (folder / old).rglob('*'):
            if path.is_symlink():
                path.unlink()
    for part, pairs in parts.items():
        for pair in pairs:
            link(pair.image, folder / f'images/{part}/{pair.name}{pair.image.suffix}')
            link(pair.labels, folder / f'labels/{part}/{pair.name}.png')
    for name, image in unlabeled.items():
        link(image, folder / f'images/unlabeled/{name}{image.suffix}')


def link(target: Path, path: Path) -> None:
    """A symbolic link in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def write_configs(folder: Path, classes: list[str]) -> None:
    """A config for each of ``METHODS``: ``METHOD/NAME.py``, so that tools/train_rounds.sh finds the teacher's."""
    for method in METHODS:
        path = folder / method / f'{folder.name}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        base = ROOT / 'configs/segmentation' / method / CONFIG
        lines = [
            '# `ssod new` wrote it: yours to change; what is not here is in the file that `_base_` names.',
            f'_base_ = {str(base)!r}',
            f'data_root = {os.path.join(folder, "")!r}',
            f'classes = {classes!r}',
            f'work_dir = {f"work_dirs/{folder.name}/{method}"!r}',
        ]
        path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
