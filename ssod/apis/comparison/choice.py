"""Which checkpoint of a run counts, and which of its two models."""

from pathlib import Path
from typing import NamedTuple

from mmcv import Config

from ssod.apis.runs import evaluated_at_end
from ssod.core.errors import InputError
from ssod.hooks import Best


class Choice(NamedTuple):
    """What a run recommends by its own evaluations.

    Attributes:
        checkpoint: the file.
        model: 'student' or 'teacher'.
        why: in a few words.
    """

    checkpoint: Path
    model: str
    why: str


def choose(work_dir: Path, cfg: Config, metric: str) -> Choice:
    """The best checkpoint if the run keeps one (``best.json``), else the better model of the last one.

    Raises:
        InputError: the run is not finished.
    """
    last = evaluated_at_end(work_dir, cfg)
    if last is None:
        raise InputError(f'the run in {work_dir} is not finished')
    best = Best.read(work_dir)
    if best and best.model:
        return Choice(work_dir / best.checkpoint, best.model, f'best, iteration {best.iteration}')
    scores = {model: last[f'{model}_{metric}'] for model in ('student', 'teacher') if f'{model}_{metric}' in last}
    if not scores:
        raise InputError(f'the log in {work_dir} has no {metric} of student or teacher: mend `evaluation`')
    better = max(scores, key=scores.__getitem__)
    others = ', '.join(f'{model} {100 * score:.1f}' for model, score in scores.items())
    return Choice(work_dir / f'iter_{cfg.runner.max_iters}.pth', better, f'last iteration, {others}')
