"""Corrected labels back into a data set of ``ssod new``."""

import fnmatch
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssod.apis.config import load_config
from ssod.core.errors import InputError
from ssod.core.task import TASKS, task_of
from ssod.data.labels import LabeledImage, read_labels


@dataclass
class Changes:
    """What an import has changed, or would change.

    Attributes:
        folder: of the data set.
        added: images that were unlabeled and are labeled now.
        corrected: images whose labels were replaced.
        same: images whose labels were these already.
        before, after: of each class what the labeled part holds: boxes, or images with it.
        backup: folder with what was replaced; None: nothing was.
        notes: sentences.
    """

    folder: Path
    added: list[str] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    backup: Path | None = None
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f'{self.folder}: {len(self.added)} images are labeled now that were not, {len(self.corrected)} were '
            f'corrected, {len(self.same)} were as in the files'
        ]
        lines += [f'  {name}: {count} -> {self.after[name]}' for name, count in self.before.items()]
        lines += [f'- {note}' for note in self.notes]
        if self.backup:
            lines.append(f'What was replaced is in {self.backup}')
        return '\n'.join(lines)


def import_labels(
    name: str,
    files: Sequence[Path],
    kind: str | None = None,
    only: Sequence[str] = (),
    dry_run: bool = False,
) -> str:
    """Move corrected images into the labeled part of a data set, and out of the unlabeled one.

    Everything is read and checked before anything is changed. What is replaced is copied to ``FOLDER/backups/N``.

    Args:
        name: of a set of `ssod new`, its folder, or a config of it.
        files: files or folders of labels, in any format of ``ssod.data.labels.FORMATS``.
        kind: the format; None: what each looks like.
        only: names or globs of the images that were corrected; none: all of the files.
        dry_run: change nothing.

    Returns:
        What changed, and the command that trains on it.

    Raises:
        InputError: no such set; classes that it does not have, images that it does not have, bad boxes; an image twice.
    """
    folder, task, config = find_set(name)
    images: list[LabeledImage] = []
    sources: list[Path] = []
    classes: list[tuple[Path, list[str]]] = []
    notes: list[str] = []
    for path in files:
        found, names, said = read_labels(path, kind)
        if only:
            found = [one for one in found if any(matches(one.name, pattern) for pattern in only)]
        images += found
        sources += [path] * len(found)
        classes.append((path, names))
        notes += [f'{path}: {note}' for note in said]
    if not images:
        raise InputError(f'{files[0]} has no image{f" that fits --only {only[0]}" if only else ""}: nothing to import')
    changes = Changes(folder, notes=notes)
    TASKS[task].import_labels(changes, images, sources, classes, dry_run)
    if dry_run:
        return f'{changes}\nNothing was changed: --dry-run'
    return f'{changes}\n{advice(config or first_config(folder), folder)}'


def matches(name: str, pattern: str) -> bool:
    """Whether a name, or its end, fits a name or glob, with its ending or without."""
    ends = [Path(name).name, name, Path(name).stem]
    return any(fnmatch.fnmatch(end, pattern) or end == Path(pattern).stem for end in ends)


def find_set(name: str) -> tuple[Path, str, Path | None]:
    """Folder and task of a set, and the config where one was given.

    Raises:
        InputError: there is none.
    """
    if name.endswith('.py'):
        cfg = load_config(name)
        train = cfg.data.train
        folder = (train.get('labeled') or train).get('data_root')
        if not folder:
            raise InputError(f'{name} has no data_root: labels are imported into a set of `ssod new`')
        return Path(folder), task_of(cfg).name, Path(name)
    for folder in (Path(name), Path('data') / name):
        if (folder / 'annotations/labeled.json').is_file():
            return folder, 'detection', None
        if (folder / 'images/train').is_dir() and (folder / 'labels/train').is_dir():
            return folder, 'segmentation', None
    raise InputError(f'{name} is no data set of `ssod new`: give its name, its folder, or a config')


def first_config(folder: Path) -> Path | None:
    """A config of the set that trains on unlabeled images."""
    return next(iter(sorted([*folder.glob('*.py'), *folder.glob('fixmatch/*.py')])), None)


def advice(config: Path | None, folder: Path) -> str:
    """How training goes on: a new run, for an exact resume would be another run than the one that it resumes."""
    if config is None:
        return 'Train anew with a config of the set: a run that was started before cannot be resumed on other labels.'
    work_dir = Path(load_config(str(config)).work_dir)
    best = next(iter(sorted(work_dir.glob('best_*.pth'))), None) or work_dir / 'BEST.pth'
    number = next(i for i in range(2, 10**6) if not Path(f'{work_dir}_{i}').exists())
    return (
        'Training goes on as a new run from the weights of the one before; `--auto-resume` is for unchanged labels:\n'
        f'  ssod train {config} --work-dir {work_dir}_{number} --cfg-options load_from={best}'
    )


def backup_folder(folder: Path) -> Path:
    """A new folder for what an import replaces: ``backups/1``, then 2 ..."""
    number = next(i for i in range(1, 10**6) if not (folder / f'backups/{i}').exists())
    made = folder / f'backups/{number}'
    made.mkdir(parents=True)
    return made


def keep(path: Path, folder: Path, backup: Path) -> None:
    """Copy a file of a set, or a link as a link, to the same place below the backup."""
    target = backup / path.relative_to(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target, follow_symlinks=False)
