"""The verdict: three columns, the difference with its interval, what to take, and why."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

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
        - ``test``: values, difference and interval of the same choices on ``data.test``, by which nothing is chosen;
          None where that holds no images of its own.

    Raises:
        InputError: no seed is finished.
    """
    seeds = [seed for seed in plan.seeds if plan.is_done('baseline', seed) and plan.is_done('method', seed)]
    if not seeds:
        raise InputError(f'no seed of {list(plan.seeds)} is finished in {plan.folder}: train first')
    own = Judge(plan)
    reasons = mean_reasons([own.reasons(seed) for seed in seeds])
    found = measure(own, 'val', seeds, rounds)
    gain, once = found.gains['method'], found.gains.get('label_once')
    verdict = verdict_of(gain.interval)
    classes = own.detected('method', own.choice('method', seeds[0]).checkpoint, 'val').classes
    measures = plan.measures
    return without_nan(
        dict(
            metric=measures.metric,
            **found.values,
            difference=gain.value,
            interval=list(gain.interval),
            verdict=verdict,
            recommended=recommended(own, found.values, found.gains),
            reasons=dict(
                asdict(reasons),
                by_class=class_rows(classes, reasons.by_class, found.tables, gain),
                **label_once_gain(once),
            ),
            sentence=sentence(
                verdict, gain.value, gain.interval, reasons, measures, len(seeds),
                once and once.value,
            ),
            test=measured_on_test(own, seeds, rounds),
        )
    )  # fmt: skip


class Measured(NamedTuple):
    """The columns on one set of images.

    Attributes:
        values: of each column, seed -> metric in points; None where the run is missing.
        tables: of :func:`resample`, for the columns that have every seed.
        gains: of these, the difference to the baseline.
    """

    values: dict[str, dict[str, float | None]]
    tables: dict[str, np.ndarray]
    gains: dict[str, Difference]


def measure(own: Judge, place: str, seeds: Sequence[int], rounds: int) -> Measured:
    """What each run has chosen, measured on 'val' or 'test'."""
    plan = own.plan
    values: dict[str, dict] = {name: {} for name in COLUMNS}
    runs = {}
    for name in plan.configs:
        done = [seed for seed in seeds if plan.is_done(name, seed)]
        for seed in seeds:
            choice = own.choice(name, seed) if seed in done else None
            values[name][str(seed)] = choice and own.metric(name, choice.checkpoint, choice.model, place)
        if done == list(seeds):
            runs[name] = [own.chosen_scores(name, seed, place) for seed in seeds]
    images = own.num_images('method', own.choice('method', seeds[0]).checkpoint, place)
    tables = resample(runs, images, rounds)
    return Measured(values, tables, {name: difference(tables['baseline'], table) for name, table in tables.items()})


def measured_on_test(own: Judge, seeds: Sequence[int], rounds: int) -> dict[str, Any] | None:
    """The same runs and choices on the test images; None if there are none of their own."""
    if not own.has_test_set():
        return None
    found = measure(own, 'test', seeds, rounds)
    gain = found.gains['method']
    outcome = dict(difference=gain.value, interval=list(gain.interval))
    return {**found.values, **outcome, **label_once_gain(found.gains.get('label_once'))}


def label_once_gain(once: Difference | None) -> dict[str, Any]:
    """Label-once's difference to the baseline, if it was trained."""
    return dict(
        label_once_difference=once and once.value,
        label_once_interval=once and list(once.interval),
    )


def recommended(own: Judge, values: dict[str, dict], gains: dict[str, Difference]) -> dict[str, str]:
    """Which checkpoint to take: of the columns that are better than the baseline for sure the best, else the baseline.

    Of its seeds the best on the validation images.
    """
    sure = {name: gain.value for name, gain in gains.items() if gain.interval[0] > 0}
    column = max(sure, key=sure.__getitem__) if sure else 'baseline'
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
