"""A finished or stopped training, read from its work dir."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssod.core.errors import InputError
from ssod.core.examination import Examination
from ssod.hooks import Best

from ..runs import read_log
from .record import FOLDER, read_examination, read_history
from .start import read_start


@dataclass(frozen=True)
class Run:
    """What a work dir holds.

    Attributes:
        folder: the work dir.
        log: 'train' and 'val' entries of the log, by iteration.
        best: the run's own recommendation, if it keeps one.
        verdict: of the comparison that the run is part of, or that was made of its config.
        start: content of ``run.json``; empty for a run that wrote none.
        history: of the pseudo labels on the validation images.
        examination: what a model found on the validation images, and which model; None if nothing was kept.
    """

    folder: Path
    log: dict[str, list[dict[str, Any]]]
    best: Best | None
    verdict: dict[str, Any] | None
    start: dict[str, Any]
    history: list[dict[str, Any]]
    examination: tuple[Examination, dict[str, Any]] | None

    def picture(self, name: str) -> bytes | None:
        """A picture of the examination; None if it is gone."""
        path = self.folder / FOLDER / Path(name).name
        return path.read_bytes() if path.is_file() else None

    def is_examined(self) -> bool:
        """Whether the examination is of the checkpoint that the run recommends."""
        if self.examination is None:
            return False
        return self.best is None or self.examination[1]['checkpoint'] == self.best.checkpoint


def read_run(folder: Path) -> Run:
    """Read a work dir.

    Raises:
        InputError: no training has left its log there, or one of its files is damaged.
    """
    if not folder.is_dir():
        raise InputError(f'no work dir {folder}')
    runs = sorted({str(path.parent) for path in folder.glob('*/seed*/*.log.json')})
    if not list(folder.glob('*.log.json')):
        inside = f': give one of its runs, {", ".join(runs[:4])}' if runs else ': give the --work-dir of a training'
        raise InputError(f'{folder} holds no log of a training (*.log.json){inside}')
    try:
        return Run(
            folder,
            read_log(folder),
            Best.read(folder),
            find_verdict(folder),
            read_start(folder),
            read_history(folder),
            read_examination(folder),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'a file in {folder} is damaged ({error}): remove it; the report does without') from error


def find_verdict(folder: Path) -> dict[str, Any] | None:
    """``verdict.json`` of the run's folder, of ``compare/`` in it, or of the comparison that the run is part of."""
    absolute = folder.absolute()
    places = [absolute, absolute / 'compare']
    if absolute.name.startswith('seed'):
        places.append(absolute.parents[1])
    for place in places:
        path = place / 'verdict.json'
        if path.is_file():
            return json.loads(path.read_text(encoding='utf-8'))
    return None
