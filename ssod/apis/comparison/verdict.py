"""The verdict: three columns, the difference with its interval, what to take, and why."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ssod.core.errors import InputError

from .bootstrap import Difference, difference, resample, verdict_of
from .judging import Judge
from .reasons import mean_reasons, sentence
from .runs import COLUMNS, Plan


def judge(plan: Plan, rounds: int = 1000) -> dict[str, Any]:
    """Compare the finished runs of a plan.

    Args:
        plan: of the runs; seeds of which baseline or method are not finished are left out.
        rounds: samples of the bootstrap.

    Returns:
        The content of ``verdict.json``; metrics in points (0 to 100):

        - ``metric``: its name in the logs.
        - ``baseline``, ``label_once``, ``method``: seed -> value on the validation images, of the checkpoint and the
          model, student or teacher, that the run itself would take; None if label-once was not trained.
        - ``difference``, ``interval``: method minus baseline, mean over seeds, and its 95 % interval by a paired
          bootstrap over validation images and seeds.
        - ``verdict``: 'helps', 'no_difference' or 'hurts'.
        - ``recommended``: ``checkpoint``, ``model``, ``config``, ``why``.
        - ``reasons``: the fields of :class:`Reasons`; in ``by_class`` the values and differences of each class too.
        - ``sentence``: the outcome in words.

    Raises:
        InputError: no seed is finished.
    """
    seeds = [seed for seed in plan.seeds if plan.is_done('baseline', seed) and plan.is_done('method', seed)]
    if not seeds:
        raise InputError(f'no seed of {list(plan.seeds)} is finished in {plan.folder}: train first')
    own = Judge(plan)
    has = {name: [seed for seed in seeds if name in plan.configs and plan.is_done(name, seed)] for name in COLUMNS}
    complete = [name for name in COLUMNS if has[name] == seeds]
    reasons = mean_reasons([own.reasons(seed) for seed in seeds])
    runs = {name: [own.chosen_scores(name, seed) for seed in seeds] for name in complete}
    tables = resample(runs, int(reasons.validation_images), rounds)
    gains = {name: difference(tables['baseline'], tables[name]) for name in complete}
    gain, once = gains['method'], gains.get('label_once')
    values: dict[str, dict] = {name: {} for name in COLUMNS}
    for name in plan.configs:
        for seed in seeds:
            choice = own.choice(name, seed) if seed in has[name] else None
            values[name][str(seed)] = choice and own.metric(name, choice.checkpoint, choice.model)
    verdict = verdict_of(gain.interval)
    classes = own.detected('method', own.choice('method', seeds[0]).checkpoint, 'val').classes
    measures = plan.measures
    return without_nan(
        dict(
            metric=measures.metric,
            **values,
            difference=gain.value,
            interval=list(gain.interval),
            verdict=verdict,
            recommended=recommended(own, values, gains),
            reasons=dict(
                asdict(reasons),
                by_class=class_rows(classes, reasons.by_class, tables, gain),
                label_once_difference=once and once.value,
                label_once_interval=once and list(once.interval),
            ),
            sentence=sentence(
                verdict, gain.value, gain.interval, reasons, measures.label, measures.unit, len(seeds),
                once and once.value,
            ),
        )
    )  # fmt: skip


def recommended(own: Judge, values: dict[str, dict], gains: dict[str, Difference]) -> dict[str, str]:
    """Which checkpoint to take: of the columns that are better than the baseline for sure the best, else the baseline.

    Of its seeds the best on the validation images.
    """
    sure = {name: gain.value for name, gain in gains.items() if gain.interval[0] > 0}
    column = max(sure, key=sure.get) if sure else 'baseline'
    seed = max(values[column], key=lambda seed: values[column][seed] or 0)
    choice = own.choice(column, int(seed))
    better = f'{gains[column].value:+.1f} to the baseline' if sure else 'nothing is better than the baseline for sure'
    return dict(
        checkpoint=str(choice.checkpoint),
        model=choice.model,
        config=str(own.plan.config_file(column)),
        why=f'{column.replace("_", "-")}, seed {seed}: {better}; the {choice.model} ({choice.why})',
    )


def class_rows(
    classes: Sequence[str], quality: dict[str, dict], tables: dict[str, np.ndarray], gain: Difference
) -> dict[str, dict]:
    """For each class the quality of its pseudo labels, the metric of each column, and the difference."""
    return {
        name: dict(
            quality[name],
            **{column: float(table[0, i]) for column, table in tables.items()},
            difference=float(gain.by_class[i]),
            interval=list(gain.class_intervals[i]),
        )
        for i, name in enumerate(classes)
    }


def without_nan(value: Any) -> Any:
    """The same with None for each nan: JSON has none."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
