"""How far a piece of work is, for whoever waits for it: a small file that is written whole."""

import json
import os
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .files import write_whole

FILE = 'progress.json'
# Who starts a process and wants to follow it names a file in this environment variable.
VARIABLE = 'SSOD_PROGRESS'
# Losses by the images that teach them, first match first.
GROUPS = (('labeled', r'^sup_.*loss'), ('unlabeled', r'^unsup_.*loss'), ('other', r'loss'))


@dataclass(frozen=True)
class Progress:
    """What ``progress.json`` says.

    Attributes:
        what: 'training', 'evaluating the teacher', 'labeling', 'done' ...
        done, total: of what is done now: iterations, or images; total None if nobody knows.
        iteration, max_iters: of a training, also while it evaluates.
        seconds_left: of a training, as its last iterations went; None if it is not known yet.
        losses: by group, and 'loss', their sum; means since the line before.
        figures: of the last line of the log besides losses: ``num_pseudo_cls``, ``unsup_weight``, ``lr`` ...
        metrics: of the last evaluation; behind ``student_`` or ``teacher_`` for a method with both.
        evaluated_at: iteration of that evaluation.
        best: the best so far in words; empty without one.
        written: when, in seconds since 1970.
    """

    what: str
    done: int = 0
    total: int | None = None
    iteration: int | None = None
    max_iters: int | None = None
    seconds_left: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    evaluated_at: int | None = None
    best: str = ''
    written: float = 0.0

    def write(self, *paths: str | Path) -> None:
        """Write it to files; one that cannot be written is left as it is, for the work itself is worth more."""
        text = json.dumps(asdict(replace(self, written=time.time())))
        for path in dict.fromkeys(os.path.realpath(path) for path in paths):
            try:
                write_whole(path, text)
            except (OSError, ValueError):
                continue

    @classmethod
    def read(cls, path: str | Path) -> 'Progress | None':
        """The content of a file; None if there is none, or not one of ours."""
        try:
            return cls(**json.loads(Path(path).read_text(encoding='utf-8')))
        except (OSError, ValueError, TypeError):
            return None


def follower() -> list[str]:
    """The file that whoever started this process reads, if any."""
    path = os.environ.get(VARIABLE)
    return [path] if path else []


def group_of(key: str) -> str | None:
    """Which group of losses a key of the log is of; None: it is no loss, or their sum."""
    if key == 'loss':
        return None
    return next((name for name, pattern in GROUPS if re.search(pattern, key)), None)


def losses_by_group(entry: dict[str, Any]) -> dict[str, float]:
    """The sums of a log entry's losses by group, and the whole as 'loss'."""
    sums: dict[str, float] = {}
    for key, value in entry.items():
        group = group_of(key)
        if group is not None and isinstance(value, (int, float)):
            sums[group] = sums.get(group, 0.0) + float(value)
    return {**sums, **({'loss': float(entry['loss'])} if 'loss' in entry else {})}


def is_of_class(key: str) -> bool:
    """Whether a key of an evaluation is of one class: 'teacher_bbox_AP.person', 'student_IoU.sky'."""
    return re.search(r'(?:^|_)(?:AP|IoU|Acc|Dice|Fscore|Precision|Recall)\.', key) is not None


def main_metrics(metrics: dict[str, Any]) -> dict[str, float]:
    """Of an evaluation the metrics that tell models apart: mAP of boxes and masks, mIoU."""
    pattern = r'(?:student_|teacher_)?(?:(?:bbox|segm)_mAP|mIoU|mDice|mFscore)'
    found = {key: value for key, value in metrics.items() if re.fullmatch(pattern, key)}
    return {key: float(value) for key, value in found.items() if isinstance(value, (int, float))}
