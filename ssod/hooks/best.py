"""A run's own recommendation: which checkpoint, and which of its two models, was best on the validation split."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ssod.core.files import write_whole


@dataclass(frozen=True)
class Best:
    """What ``best.json`` in a work dir says; chosen on the validation split alone.

    Attributes:
        metric: its name without the model's, 'bbox_mAP' say.
        value: of that metric.
        iteration: after how many iterations.
        model: 'student' or 'teacher'; None: the run trains a plain detector.
        checkpoint: file name, in the same folder; it holds both models.

    Examples:
        >>> best = Best.read('work_dirs/demo/soft_teacher_r18_shapes')
        >>> best is None or best.model in ('student', 'teacher')
        True
    """

    metric: str
    value: float
    iteration: int
    model: str | None
    checkpoint: str

    @property
    def key(self) -> str:
        """The metric's name in the log: 'teacher_bbox_mAP'."""
        return self.metric if self.model is None else f'{self.model}_{self.metric}'

    def write(self, folder: str | Path) -> None:
        """Write ``best.json``."""
        write_whole(Path(folder) / 'best.json', json.dumps(asdict(self), indent=1) + '\n')

    @classmethod
    def read(cls, folder: str | Path) -> 'Best | None':
        """What a run recommends; None if it does not (yet)."""
        path = Path(folder) / 'best.json'
        return cls(**json.loads(path.read_text(encoding='utf-8'))) if path.is_file() else None


def split_key(key: str, names: Iterable[str | None]) -> tuple[str | None, str]:
    """Model and metric of a metric's name in the log: 'teacher_bbox_mAP' is the teacher's 'bbox_mAP'."""
    for name in names:
        if name is not None and key.startswith(f'{name}_'):
            return name, key.removeprefix(f'{name}_')
    return None, key


def same_metric(metrics: dict[str, float], names: Iterable[str | None]) -> list[str]:
    """The first metric of an evaluation, of each of the models that were tested; those that are no number left out."""
    names = tuple(names)
    metric = split_key(next(iter(metrics)), names)[1]
    keys = [metric if name is None else f'{name}_{metric}' for name in names]
    return [key for key in keys if not math.isnan(metrics[key])]
