"""Is a difference more than chance? A paired bootstrap over validation images, and over seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ssod.core.measures import ClassScores

Interval = tuple[float, float]


class Difference(NamedTuple):
    """Second column minus first, in points (0 to 100), with 95 % intervals.

    Attributes:
        value, interval: of the metric.
        by_class: (C,) of each class, nan for one without labels.
        class_intervals: C of them.
    """

    value: float
    interval: Interval
    by_class: np.ndarray
    class_intervals: list[Interval]


def resample(
    columns: Mapping[str, Sequence[ClassScores]], num_images: int, rounds: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Metrics of each column on samples of the images and the seeds, the same samples for all columns.

    Args:
        columns: of each, the scores of its runs, one a seed; as many in each.
        num_images: of the validation set.
        rounds: samples; with replacement, images first, then seeds.
        seed: of the samples.

    Returns:
        For each column (rounds + 1, C), in points, the mean over the sampled seeds. The first row is no sample: every
        image and every seed once.
    """
    rng = np.random.default_rng(seed)
    num_seeds = len(next(iter(columns.values())))
    tables: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    for turn in range(rounds + 1):
        images: np.ndarray = np.arange(num_images)
        seeds: np.ndarray = np.arange(num_seeds)
        if turn:
            images, seeds = (rng.integers(len(all_), size=len(all_)) for all_ in (images, seeds))
        counts, drawn = np.bincount(images, minlength=num_images), np.bincount(seeds, minlength=num_seeds)
        for name, runs in columns.items():
            rows = [n * runs[s](counts) for s, n in enumerate(drawn) if n]
            tables[name].append(100 * np.sum(rows, axis=0) / num_seeds)
    return {name: np.array(rows) for name, rows in tables.items()}


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare two columns of :func:`resample`, whose rows are paired."""
    classes = second - first
    means = np.array([mean_of_defined(row) for row in classes])
    return Difference(
        float(means[0]),
        interval(means[1:]),
        classes[0],
        [interval(column[1:]) for column in classes.T],
    )


def mean_of_defined(values: np.ndarray) -> float:
    """Mean of the values that are not nan; nan if all are."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


def interval(values: np.ndarray) -> Interval:
    """From the 2.5th to the 97.5th percentile of the values that are not nan; nan if all are."""
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return (np.nan, np.nan)
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def verdict_of(bounds: Interval) -> str:
    """'helps' if the interval lies above 0, 'hurts' if below, else 'no_difference'."""
    low, high = bounds
    return 'helps' if low > 0 else 'hurts' if high < 0 else 'no_difference'
