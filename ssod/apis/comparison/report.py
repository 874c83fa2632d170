"""The verdict on a page and as a plot."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssod.apis.runs import read_log
from ssod.core.files import replacing, write_whole
from ssod.core.measures import Measures

from .reasons import points
from .runs import COLUMNS, Plan

NAMES = dict(baseline='supervised baseline', label_once='label-once', method='method')
COLORS = dict(baseline='tab:gray', label_once='tab:orange', method='tab:blue')


def write_report(plan: Plan, verdict: dict[str, Any]) -> str:
    """Write ``verdict.json``, ``verdict.md`` and ``verdict.png`` to the plan's folder; returns the page."""
    page = make_page(verdict, plan.measures)
    with replacing(plan.folder / 'verdict.json') as temporary:
        mmcv.dump(verdict, str(temporary), indent=1)
    write_whole(plan.folder / 'verdict.md', page)
    draw(plan, verdict, plan.folder / 'verdict.png')
    return page


def make_page(verdict: dict[str, Any], measures: Measures) -> str:
    """The verdict in Markdown: the sentence, the columns, the classes, the figures behind it."""
    recommended, label = verdict['recommended'], measures.label
    parts = [
        f'**{verdict["sentence"]}**',
        columns_table(dict(verdict['reasons'], **verdict), label),
        f'Take `{recommended["checkpoint"]}`, the {recommended["model"]}, with `{recommended["config"]}` '
        f'({recommended["why"]}).',
        classes_table(verdict, label),
        figures_table(verdict['reasons'], measures),
        *test_part(verdict['test'], label),
        'Other values are on the validation images, in points; of each run the better of student and teacher there. '
        'Differences are to the baseline, with 95 % intervals of a paired bootstrap over images (and seeds).',
    ]
    return '\n\n'.join(parts) + '\n'


def test_part(found: dict[str, Any] | None, label: str) -> list[str]:
    """The columns on the test images, if there are any."""
    if found is None:
        return []
    return ['On the test images, by which nothing was chosen:', columns_table(found, label)]


def columns_table(found: dict[str, Any], label: str) -> str:
    """A row a column: its seeds, their mean, and the difference to the baseline."""
    seeds = list(found['baseline'])
    differences = dict(
        label_once=with_interval(found['label_once_difference'], found['label_once_interval']),
        method=with_interval(found['difference'], found['interval']),
    )
    rows = []
    for name in COLUMNS:
        own = [found[name].get(seed) for seed in seeds]
        known = [value for value in own if value is not None]
        mean = float(np.mean(known)) if known else None
        rows.append([NAMES[name], *map(number, own), number(mean), differences.get(name, '')])
    return table([label, *(f'seed {seed}' for seed in seeds), 'mean', 'difference'], rows)


def classes_table(verdict: dict[str, Any], label: str) -> str:
    """A row a class: the columns, the difference, and how good its pseudo labels are."""
    rows = [
        [name]
        + [number(own.get(column)) for column in COLUMNS]
        + [with_interval(own['difference'], own['interval']), share(own['precision']), share(own['recall'])]
        for name, own in verdict['reasons']['by_class'].items()
    ]
    head = [f'{label} by class', *(NAMES[column] for column in COLUMNS), 'difference']
    return table([*head, 'precision of pseudo labels', 'recall'], rows)


def figures_table(reasons: dict[str, Any], measures: Measures) -> str:
    """The figures that the sentence is chosen by."""
    at, label = f'{reasons["threshold"]:g}', measures.label
    per_image = number if measures.count_scale == 1 else share
    rows = [
        [
            f'labeled images, {measures.per_image}',
            f'{reasons["labeled_images"]:g}, {per_image(reasons["labels_per_image"])}',
        ],
        [
            f'{measures.pseudo_per_image}, first and last',
            pair(reasons, 'pseudo_per_image_at_start', 'pseudo_per_image', per_image),
        ],
        ['share of the iterations with unlabeled images', share(reasons['unlabeled_share'])],
        [f'precision above {at}, oldest checkpoint and now', pair(reasons, 'precision_before', 'precision', share)],
        [f'recall above {at}, oldest checkpoint and now', pair(reasons, 'recall_before', 'recall', share)],
        [f'{label} of student, of teacher', pair(reasons, 'student', 'teacher')],
        [f'{label} on labeled, on validation images', pair(reasons, 'train', 'validation')],
        ['the same of the baseline', pair(reasons, 'baseline_train', 'baseline_validation')],
    ]
    for threshold, own in reasons['by_threshold'].items():
        found = f'{share(own["precision"])}, {share(own["recall"])}, {per_image(own["per_image"])}'
        rows.append([f'precision, recall, {measures.pseudo_per_image} above {threshold}', found])
    return table(['figure', 'value'], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [head, ['---'] * len(head), *rows])


def number(value: float | None) -> str:
    """One digit; '-' for None."""
    return '-' if value is None else points(value)


def share(value: float | None) -> str:
    """Two digits; '-' for None."""
    return '-' if value is None else f'{value:.2f}'


def pair(reasons: dict[str, Any], first: str, second: str, form: Callable[[Any], str] = number) -> str:
    """Two figures."""
    return f'{form(reasons[first])}, {form(reasons[second])}'


def with_interval(value: float | None, bounds: Sequence[float | None] | None) -> str:
    """+3.1 (1.9 to 4.2)."""
    low, high = bounds or (None, None)
    if value is None or low is None or high is None:
        return '-'
    return f'{points(value, "+")} ({points(low)} to {points(high)})'


def draw(plan: Plan, verdict: dict[str, Any], path: Path) -> None:
    """The metric during the trainings, and the difference of each class."""
    figure = Figure(figsize=(13, 4.5))
    curves, bars = figure.subplots(1, 2)
    draw_curves(curves, plan, list(map(int, verdict['baseline'])))
    draw_classes(bars, verdict)
    curves.set_title(f'{plan.measures.label} on the validation images')
    bars.set_title(f'method - baseline: {with_interval(verdict["difference"], verdict["interval"])}')
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


def draw_curves(axes: Axes, plan: Plan, seeds: Sequence[int]) -> None:
    """A line a run and model: students drawn through, teachers dashed."""
    for name in plan.configs:
        for seed in seeds:
            entries = read_log(plan.run_dir(name, seed))['val']
            for model, style in (('student', 'o-'), ('teacher', 'o--')):
                values = [(e['iter'], 100 * e[key]) for e in entries if (key := f'{model}_{plan.measures.metric}') in e]
                label = f'{NAMES[name]}, {model}' if seed == seeds[0] else None
                axes.plot(
                    *zip(*values, strict=True), style, markersize=3, color=COLORS[name], label=label
                ) if values else None
    axes.set_xlabel('iteration')
    axes.legend(fontsize='small')


def draw_classes(axes: Axes, verdict: dict[str, Any]) -> None:
    """A bar a class, with its interval."""
    rows = {name: own for name, own in verdict['reasons']['by_class'].items() if own['difference'] is not None}
    values = np.array([own['difference'] for own in rows.values()], dtype=float)
    bounds = np.array([own['interval'] for own in rows.values()], dtype=float).reshape(-1, 2)
    errors = np.abs(bounds.T - values)
    axes.barh(list(rows), values, xerr=errors, color=COLORS['method'], ecolor='black', capsize=3)
    axes.axvline(0, color='black', linewidth=0.8)
    axes.set_xlabel('points')
