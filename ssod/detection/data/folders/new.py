"""From raw folders to a data set that can be trained on, with a report on what is in it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssod.core.errors import InputError
from ssod.core.files import write_whole
from ssod.core.hardware import this_machine
from ssod.data.files import write_json
from ssod.data.images import SUFFIXES, look_at_all

from .cleaning import Cleaner, coco_images
from .config_text import config_name, next_commands, write_config
from .output import check_place, write_parts
from .parts import Facts, Parts, held_out_images
from .readers import read_labels
from .structure import FolderIndex, LabelSource, RawImage, chosen_classes, some
from .summary import LEAST_SIDE, VANISHING, DataSummary, fitting_scale, summarize, table


@dataclass
class Report:
    """What was found and done.

    Attributes:
        out: folder of the set.
        kind: format of the labels.
        summary: the figures.
        notes: sentences on what was done or left out.
        warnings: sentences on what to look at before training.
        config: the file to train with; None if none could be written.
    """

    out: Path
    kind: str
    summary: DataSummary
    notes: list[str]
    warnings: list[str]
    config: Path | None = None

    def __str__(self) -> str:
        classes = ', '.join(self.summary.classes)
        lines = [f'{self.out}: {self.kind}, classes {classes}', table(self.summary.splits)]
        lines += [f'- {note}' for note in self.notes] + [f'WARNING: {warning}' for warning in self.warnings]
        if self.config:
            lines.append(f'Look through {self.config}, then:')
            lines += [f'  {command}' for command in next_commands(self.summary, self.config.stem)]
        return '\n'.join(lines)


@dataclass
class Input:
    """What the folders hold, before anything is chosen; `held_out` is what --val holds, None where it was not given."""

    source: LabelSource
    held_out: LabelSource | None
    classes: list[str]
    val: list[RawImage]
    unlabeled: list[Path]


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
    masks: bool = False,
    detector: str = 'faster_rcnn',
) -> Report:
    """Make a data set of raw folders, without copying an image.

    Writes OUT/annotations/{labeled,unlabeled,val[,test]}.json, links OUT/images/{labeled,...} to the images,
    OUT/summary.json, and a config for this machine: OUT/soft_teacher.py, or OUT/mean_teacher.py for a detector of one
    stage. Everything is read and checked before anything is written.

    Args:
        name: of the set.
        labeled: folder or file of labels, in COCO JSON, Pascal VOC or YOLO text. Its own parts val and test are used.
        unlabeled: folder of images; None: part of the labeled images is used without labels.
        val: labeled folder or file of validation images; None: the labeled set's own, else a part split off.
        classes: class names to use, in this order; None: all.
        seed: of the parts that are drawn.
        out: folder to write; None: data/{name}.
        force: write over a set that is there.
        labeled_percent: images that keep their labels where `unlabeled` is None, at least 20 or half of them.
        masks: write a config that trains masks; each labeled box needs one.
        detector: 'faster_rcnn', 'retinanet', 'fcos', 'atss' or 'yolox'.

    Raises:
        InputError: one sentence on what is missing or wrong, and where.
    """
    config_name(detector, masks)  # refuses what it does not know
    out = Path(out) if out else Path('data') / name
    check_place(name, out, force)
    if not 0 < labeled_percent < 100:
        raise InputError(f'{labeled_percent} percent of the images cannot keep their labels: it is above 0, below 100')
    found = read_input(Path(labeled), unlabeled and Path(unlabeled), val and Path(val), classes)
    images = [i.path for s in (found.source, found.held_out) if s for part in s.splits.values() for i in part]
    facts = look_at_all([*images, *found.unlabeled])
    cleaner = Cleaner(facts, found.classes)
    parts = choose_parts(found, facts, cleaner, unlabeled is None, labeled_percent, seed)
    datasets, roots = to_coco(found, parts, cleaner, unlabeled and Path(unlabeled))
    scale = fitting_scale(datasets['labeled'])
    splits = {part: summarize(dataset, scale) for part, dataset in datasets.items()}
    summary = DataSummary(name, str(out), found.classes, scale, splits, masks)
    notes = [*found.source.notes, *(found.held_out.notes if found.held_out else []), *cleaner.sentences(), *parts.notes]
    notes += check_masks(summary)
    report = Report(
        out, found.source.kind, summary, notes, [*data_warnings(summary, datasets['labeled']), *parts.warnings]
    )
    write_parts(out, datasets, roots)
    write_json(summary.to_dict(), out / 'summary.json')
    add_config(report, detector)
    return report


def add_config(report: Report, detector: str) -> None:
    """Write the set's config and note its path; a config that is there and says something else is kept beside it."""
    try:
        text = write_config(report.summary, this_machine(), detector)
    except InputError as error:
        report.warnings.append(str(error))
        return
    report.config = report.out / config_name(detector)
    if report.config.is_file() and report.config.read_text(encoding='utf-8') != text:
        kept = report.config.with_suffix('.py.old')
        report.config.replace(kept)
        report.notes.append(f'the {report.config.name} that was there is {kept} now')
    write_whole(report.config, text)


def read_input(labeled: Path, unlabeled: Path | None, val: Path | None, classes: Sequence[str] | None) -> Input:
    """Read the labels and list the unlabeled images.

    Raises:
        InputError: see the readers, or there is no unlabeled image.
    """
    source = read_labels(labeled, classes)
    chosen = chosen_classes(source.classes, classes, labeled)
    held_out = read_labels(val, source.classes) if val else None
    images = held_out_images(held_out, chosen, bool(classes), val) if held_out else source.splits.get('val', [])
    if held_out and 'val' in source.splits:
        source.notes.append(
            f'{len(source.splits["val"])} images of the part `val` of {labeled} were left out for --val'
        )
    return Input(source, held_out, chosen, images, list_unlabeled(unlabeled) if unlabeled else [])


def list_unlabeled(folder: Path) -> list[Path]:
    """Image files under a folder.

    Raises:
        InputError: it is no folder or has none.
    """
    if not folder.is_dir():
        raise InputError(f'{folder} is no folder: give a folder of unlabeled images')
    index = FolderIndex(folder)
    if not index.images:
        there = some(sorted({path.suffix for path in index.files}))
        raise InputError(f'{folder} holds no image: looked for {" ".join(SUFFIXES)} and found {there or "no file"}')
    return index.images


def choose_parts(
    found: Input, facts: Facts, cleaner: Cleaner, labels_aside: bool, labeled_percent: float, seed: int
) -> Parts:
    """The parts without unreadable images, with a validation part and unlabeled images in any case.

    Raises:
        InputError: no image of a part can be read, or see `Parts`.
    """
    splits = found.source.splits
    parts = Parts(
        labeled=cleaner.readable(splits['train']),
        val=cleaner.readable(found.val),
        test=cleaner.readable(splits.get('test', [])),
        unlabeled=[path for path in found.unlabeled if facts[path] is not None],
    )
    if not parts.labeled:
        raise InputError(f'none of the {len(splits["train"])} labeled images can be read: replace them')
    unreadable = [path.name for path in found.unlabeled if facts[path] is None]
    if unreadable:
        parts.notes.append(f'{len(unreadable)} unlabeled images that cannot be read were left out ({some(unreadable)})')
    if not parts.val:
        parts.split_off_val(facts, found.classes, seed)
    if labels_aside:
        parts.put_labels_aside(labeled_percent, facts, found.classes, seed)
    parts.drop_known(facts)
    if not parts.unlabeled:
        raise InputError('no unlabeled image is left: each is labeled already, or cannot be read; give other images')
    parts.check_leaks(facts)
    return parts


def to_coco(found: Input, parts: Parts, cleaner: Cleaner, unlabeled: Path | None) -> tuple[dict, dict[str, Path]]:
    """COCO dictionary of each part, and the folder that its file names are relative to."""
    root = common_folder(image.path for images in found.source.splits.values() for image in images)
    roots = dict(labeled=root, unlabeled=unlabeled or root, val=root, test=root)
    relative = found.source.relative
    datasets = dict(labeled=cleaner.to_coco(parts.labeled, root, relative))
    datasets['unlabeled'] = coco_images(parts.unlabeled, cleaner.facts, roots['unlabeled'], found.classes)
    if found.held_out:
        roots['val'] = common_folder(image.path for image in found.val)
        relative = found.held_out.relative
    datasets['val'] = cleaner.to_coco(parts.val, roots['val'], relative)
    if parts.test:
        datasets['test'] = cleaner.to_coco(parts.test, root, found.source.relative)
    return datasets, roots


def check_masks(summary: DataSummary) -> list[str]:
    """Sentences on masks that are there and not asked for.

    Raises:
        InputError: masks are asked for, and a labeled box has none.
    """
    without = {part: split.maskless for part, split in summary.splits.items() if split.maskless}
    if summary.with_masks and without:
        counts = ', '.join(f'{number} of the part `{part}`' for part, number in without.items())
        raise InputError(f'--masks needs a mask of each labeled box, and some have none: {counts}; leave --masks out')
    if summary.splits['labeled'].masks and not without and not summary.with_masks:
        return ['all labeled boxes have masks: with --masks they are learned, too']
    return []


def common_folder(paths: Iterable[Path]) -> Path:
    """The deepest folder that holds all files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def data_warnings(summary: DataSummary, labeled: dict) -> list[str]:
    """Sentences on what of the labeled images cannot be learned from."""
    figures, warnings = summary.splits['labeled'], []
    missing = [name for name, count in figures.boxes.items() if not count]
    if len(missing) == len(summary.classes):
        raise InputError('no labeled image has a box that can be used: see that the labels fit their images')
    if missing:
        warnings.append(
            f'no box of {some(missing)} is among the labeled images: label some, or leave it out by --classes'
        )
    empty = figures.images - len({annotation['image_id'] for annotation in labeled['annotations']})
    if empty:
        warnings.append(f'{empty} labeled images have no box: MMDetection leaves them out in training')
    if figures.vanishing:
        share = 100 * figures.vanishing / len(labeled['annotations'])
        warnings.append(
            f'{figures.vanishing} labeled boxes ({share:.0f} %) have a side under {VANISHING} pixels when their images '
            f'are resized to fit in {summary.scale[0]} x {summary.scale[1]}: train at a larger scale or on tiles'
        )
    small = sum(split.small_images for split in summary.splits.values())
    if small:
        warnings.append(
            f'{small} images have a side under {LEAST_SIDE} pixels: MMDetection leaves them out in training'
        )
    return warnings
