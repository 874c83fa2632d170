"""Do the unlabeled images help? A method beside its supervised baseline and beside labeling them once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssod.apis.config import load_config
from ssod.apis.runs import StopRequest
from ssod.core.errors import InputError
from ssod.core.screen import screen

from .report import write_report
from .runs import Plan, Trainer, new_plan, read_plan
from .verdict import judge

__all__ = ['Plan', 'compare', 'judge', 'new_plan', 'read_plan', 'write_report']


def compare(
    config: str,
    options: dict | None = None,
    work_dir: Path | None = None,
    seeds: Sequence[int] = (0,),
    jobs: int | None = None,
    skip: Sequence[str] = (),
    report: bool = False,
) -> tuple[Plan, dict[str, Any]]:
    """Train the baseline, label-once and the method of a config, and say whether the unlabeled images help.

    What is finished is not trained again, what was stopped continues. ``verdict.json``, ``verdict.md`` and
    ``verdict.png`` go to ``work_dir``.

    Args:
        config: file of a semi-supervised method. Baseline and label-once are derived from it.
        options: settings to override in it, 'a.b' for nested ones. ``pseudo_score_thr`` is label-once's threshold; by
            default it has the method's.
        work_dir: where everything goes; None is ``compare`` in the config's.
        seeds: of the runs.
        jobs: runs at a time; None is one a GPU, without a GPU one for four cores, two at least.
        skip: ``('label_once',)`` to leave that out.
        report: train nothing, judge what is finished.

    Returns:
        The plan, and the content of ``verdict.json``: see :func:`judge`.

    Raises:
        InputError: a config or its data are unusable, a run failed, or no seed is finished.
        SystemExit: a signal has stopped the runs.
    """
    cfg = load_config(config, options)
    folder = work_dir or Path(cfg.work_dir) / 'compare'
    if report:
        plan, failed = read_plan(folder, seeds, skip), []
    else:
        plan = new_plan(cfg, folder, seeds, skip, (options or {}).get('pseudo_score_thr'))
        with StopRequest() as stop, screen():
            trainer = Trainer(plan, jobs, stop)
            trainer.train_all()
        failed = trainer.failed
        if stop.received:
            raise SystemExit(stop.MESSAGE)
    if failed:
        raise InputError(f'failed, see output.txt in their folders: {", ".join(failed)}; --report judges the others')
    with screen():  # the evaluations show themselves
        verdict = judge(plan)
    write_report(plan, verdict)
    return plan, verdict
