"""The curves of a run, as numbers: which keys of its log belong together."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ssod.core.examination import THRESHOLDS, Examination
from ssod.core.progress import group_of

TITLES = dict(labeled='Losses: labeled images', unlabeled='Losses: unlabeled images', other='Losses')
TIMES = {'time': 'iteration', 'data_time': 'of it waiting for data'}
MOST_LINES = 12


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: in the legend.
        x, y: its points; y None or not finite leaves a gap.
        dashed: whether it is dashed.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over one axis.

    Attributes:
        title, x, y: what it shows, and what the axes are.
        lines: at least one.
        note: what a reader has to know.
        from_zero: the y axis begins at 0.
    """

    title: str
    x: str
    y: str
    lines: list[Line] = field(default_factory=list)
    note: str = ''
    from_zero: bool = True


def training_charts(train: Sequence[dict[str, Any]]) -> list[Chart]:
    """Losses by group, pseudo labels, thresholds, the average's momentum, learning rate and times."""
    keys = list(dict.fromkeys(key for entry in train for key in entry))
    charts = []
    for group, title in TITLES.items():
        charts.append(chart(train, title, 'loss', [key for key in keys if group_of(key) == group]))
    counts = [key for key in keys if re.match(r'num_pseudo|num_candidates|num_boxes|confident_share|.*_share$', key)]
    charts.append(chart(train, 'Pseudo labels per image', 'number, or share of the pixels', counts))
    thresholds = [key for key in keys if re.search(r'_thr$|threshold|max_score', key)]
    charts.append(chart(train, 'Thresholds and highest score', 'score', thresholds))
    momentum = chart(train, "Momentum of the teacher's average", 'momentum', one_of(keys, 'ema_momentum'))
    charts.append(momentum and replace(momentum, from_zero=False))
    charts.append(chart(train, 'Weight of the unlabeled images', 'weight', one_of(keys, 'unsup_weight')))
    charts.append(chart(train, 'Learning rate', 'lr', one_of(keys, 'lr')))
    charts.append(chart(train, 'Time', 'seconds per iteration', one_of(keys, *TIMES), TIMES))
    return [one for one in charts if one is not None]


def one_of(keys: Sequence[str], *wanted: str) -> list[str]:
    """Those of the wanted keys that the log has."""
    return [key for key in wanted if key in keys]


def chart(
    entries: Sequence[dict[str, Any]], title: str, y: str, keys: Sequence[str], names: dict[str, str] | None = None
) -> Chart | None:
    """Keys of the log over the iteration; None if no entry has one of them."""
    lines = []
    for key in keys[:MOST_LINES]:
        own = [(entry['iter'], entry[key]) for entry in entries if is_number(entry.get(key))]
        if own:
            x, values = zip(*own, strict=True)
            lines.append(Line((names or {}).get(key, key), x, values))
    note = f'{len(keys) - MOST_LINES} more are in the log' if len(keys) > MOST_LINES else ''
    return Chart(title, 'iteration', y, lines, note) if lines else None


def is_number(value: Any) -> bool:
    """Whether a value can be drawn."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def metric_charts(val: Sequence[dict[str, Any]]) -> list[Chart]:
    """The mAP or mIoU of student and teacher over the iteration, a chart a metric, as far as the log has it."""
    found: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for entry in val for key in entry):
        if match := re.fullmatch(r'((?:student|teacher)_)?((?:bbox|segm)_mAP(?:_50)?|mIoU|mDice|mFscore|aAcc)', key):
            found.setdefault(match[2], []).append(key)
    charts = []
    for metric, keys in found.items():
        lines = []
        for key in keys:
            own = [(e['iter'], 100 * e[key]) for e in val if is_number(e.get(key)) and e[key] >= 0]
            if own:
                x, values = zip(*own, strict=True)
                lines.append(Line(key.removesuffix(f'_{metric}'), x, values, dashed=key.startswith('teacher')))
        if lines:
            charts.append(Chart(f'{metric} on the validation images', 'iteration', 'points', lines))
    return charts


def history_charts(history: Sequence[dict[str, Any]]) -> list[Chart]:
    """Precision and recall of the pseudo labels over time."""
    if not history:
        return []
    x = [line['iteration'] for line in history]
    lines = [Line(key, x, [line[key] for line in history]) for key in ('precision', 'recall')]
    last = history[-1]
    note = (
        f'What the {last["model"] or "model"} finds above score {last["threshold"]:g} on the validation images, whose '
        'labels are true and which training does not see; right from IoU 0.5 on.'
    )
    number = Line('per image', x, [line['per_image'] for line in history])
    return [
        Chart('Precision and recall of pseudo labels', 'iteration', 'share', lines, note),
        Chart('Pseudo labels per validation image', 'iteration', 'number', [number]),
    ]


def examination_charts(found: Examination) -> list[Chart]:
    """Precision over recall and F1 over the threshold, of the classes with most true objects."""
    places = [i for i in range(len(found.curves)) if found.class_counts[i]]
    places = sorted(sorted(places, key=lambda i: -found.class_counts[i])[:MOST_LINES])
    if not places:
        return []
    left_out = sum(count > 0 for count in found.class_counts) - len(places)
    note = f'The {len(places)} classes with most objects; {left_out} more are in the table.' if left_out else ''
    pr, f1 = [], []
    for i in places:
        curve = found.curves[i]
        pr.append(Line(found.classes[i], curve.recall, curve.precision))
        f1.append(Line(found.classes[i], THRESHOLDS, curve.f1))
    return [
        Chart('Precision over recall', 'recall', 'precision', pr, note),
        Chart('F1 over the score threshold', 'threshold', 'F1', f1, note),
    ]
