"""The paper's ablations (Tables 6 to 11), and their outcome as a markdown table, a CSV file and a plot."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

# mAP in points of one model, by label of the row and seed.
Scores = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Row:
    """A row of a table: a config of configs/ablations/, and what is overridden in it.

    Attributes:
        label: as the table names it.
        config: the file, without .py; tables share files.
        paper: the paper's COCO mAP where we know it.
        overrides: ``--cfg-options`` over the config.
        run: names its runs; those of the config alone where nothing is overridden.
    """

    label: str
    config: str
    paper: float | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    run: str = ''

    @property
    def name(self) -> str:
        """Of the folder of its runs; rows of the same name are the same experiment."""
        return self.run or self.config


@dataclass(frozen=True)
class Table:
    """A table of the paper: its title, its rows, and what it says besides the rows' figures."""

    title: str
    rows: tuple[Row, ...]
    note: str = ''


def sweep(run: str, settings: Sequence[str], *values: float) -> tuple[Row, ...]:
    """Soft Teacher with settings of ``semi_train_cfg`` at each value in turn.

    Args:
        run: names the runs, with the value in hundredths, or an integer itself, behind it.
        settings: what is set to the value.
    """
    names = [f'{run}_{value:02d}' if isinstance(value, int) else f'{run}_{round(value * 100):03d}' for value in values]
    return tuple(
        Row(
            str(value),
            'soft_teacher',
            overrides={f'model.semi_train_cfg.{setting}': value for setting in settings},
            run=name,
        )
        for name, value in zip(names, values, strict=True)
    )


TABLES = {
    6: Table(
        'multi-stage and end-to-end training',
        (
            Row('multi-stage', 'multi_stage'),
            Row('end-to-end', 'end_to_end'),
            Row('end-to-end, EMA', 'end_to_end_ema', 31.2),
        ),
        'The paper has end-to-end 1.3 above multi-stage.',
    ),
    7: Table(
        'the parts of Soft Teacher',
        (
            Row('end-to-end, EMA', 'end_to_end_ema', 31.2),
            Row('+ soft weights', 'soft_weights', 33.6),
            Row('+ box jittering', 'soft_teacher', 34.2),
        ),
    ),
    8: Table(
        'what weighs a background sample',
        (
            Row('none', 'end_to_end_ema'),
            Row("teacher's score (BG-T)", 'soft_weights'),
            Row("student's score (BG-S)", 'background_student'),
            Row('prediction difference', 'background_difference'),
            Row('IoU', 'background_iou'),
            Row('reverse IoU', 'background_reverse_iou'),
        ),
        'In the paper BG-T is best, BG-S is worse than none, and neither IoU nor its reverse helps. Here all rows are '
        'without box jittering, so none and BG-T are the first rows of Table 7.',
    ),
    9: Table(
        'score threshold of pseudo boxes, RPN and classification',
        sweep('score_thr', ('rpn_filter.thr', 'cls_filter.thr'), 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
        'In the paper 0.9 is best.',
    ),
    10: Table(
        'variance threshold of pseudo boxes, regression',
        sweep('variance_thr', ('reg_filter.thr',), 0.01, 0.02, 0.03, 0.04, 0.06, 0.1),
        'In the paper 0.02 is best.',
    ),
    11: Table(
        'jittered boxes per candidate',
        sweep('num_jitters', ('reg_filter.num_jitters',), 5, 10, 15),
        'In the paper there is no gain beyond 10.',
    ),
}


def all_rows() -> dict[str, Row]:
    """The rows of all tables by their names, each once, in the order of the tables."""
    rows: dict[str, Row] = {}
    for table in TABLES.values():
        for row in table.rows:
            rows.setdefault(row.name, row)
    return rows


def write_report(
    number: int, data: str, seeds: Sequence[int], scores: Mapping[str, Scores], missing: Sequence[str], folder: Path
) -> str:
    """Write a table's outcome as ``tableN.md``, ``.csv`` and ``.png`` and return its text.

    Args:
        number: the paper's number of the table.
        data: the name of the data that was trained on.
        scores: of each model, 'student' and 'teacher'.
        missing: the runs that there are no scores of.
    """
    table = TABLES[number]
    title = f'Table {number}, {table.title}: {data}'
    records = {model: summarize(table.rows, own, seeds) for model, own in scores.items()}
    parts = [f'## {title}', *(markdown(f'{model} mAP', rows) for model, rows in records.items())]
    parts += [table.note] if table.note else []
    parts += [f'Missing: {", ".join(missing)}.'] if missing else []
    text = '\n\n'.join(parts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'table{number}.md').write_text(text + '\n')
    write_csv(folder / f'table{number}.csv', records)
    plot(folder / f'table{number}.png', title, records)
    return text


def summarize(rows: Sequence[Row], scores: Scores, seeds: Sequence[int]) -> list[dict[str, str | float | None]]:
    """One record per row, None where something is missing.

    'row'; 'seed N' for each seed; 'mean'; 'std', the sample standard deviation of two or more seeds; 'gain', the mean
    difference to the first row over the seeds that both have; 'paper' and 'paper gain'.
    """
    first = scores.get(rows[0].label, {})
    records = []
    for row in rows:
        own = scores.get(row.label, {})
        values = [own[seed] for seed in seeds if seed in own]
        gains = [own[seed] - first[seed] for seed in seeds if seed in own and seed in first]
        known = row.paper is not None and rows[0].paper is not None
        records.append(
            {
                'row': row.label,
                **{f'seed {seed}': own.get(seed) for seed in seeds},
                'mean': float(np.mean(values)) if values else None,
                'std': float(np.std(values, ddof=1)) if len(values) > 1 else None,
                'gain': float(np.mean(gains)) if gains else None,
                'paper': row.paper,
                'paper gain': row.paper - rows[0].paper if known else None,
            }
        )
    return records


def markdown(heading: str, records: Sequence[dict]) -> str:
    """The records of :func:`summarize` as a markdown table in points with one decimal, '-' for what is missing."""

    def cell(value: float | None, spec: str = '.1f') -> str:
        return '-' if value is None else format(value, spec)

    seeds = [key for key in records[0] if key.startswith('seed ')]
    columns = [heading, *seeds, 'mean ± std', 'to the first row', 'paper', 'to the first row']
    lines = ['| ' + ' | '.join(columns) + ' |', '|---' * len(columns) + '|']
    for record in records:
        spread = '' if record['std'] is None else f' ± {record["std"]:.1f}'
        cells = [record['row'], *(cell(record[seed]) for seed in seeds), cell(record['mean']) + spread]
        cells += [cell(record['gain'], '+.1f'), cell(record['paper']), cell(record['paper gain'], '+.1f')]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def write_csv(path: Path, records: Mapping[str, Sequence[dict]]) -> None:
    """Write the records of each model, the model's name in front."""
    with path.open('w', newline='') as file:
        columns = ['model', *next(iter(records.values()))[0]]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({'model': model, **record} for model, rows in records.items() for record in rows)


def plot(path: Path, title: str, records: Mapping[str, Sequence[dict]]) -> None:
    """Our figures, a dot per seed and the mean with its spread, and where there are any the paper's beside them."""
    labels = [record['row'] for record in next(iter(records.values()))]
    paper = [record['paper'] for record in next(iter(records.values()))]
    known = any(value is not None for value in paper)
    figure = Figure(figsize=(6 * (1 + known), 4.5), layout='constrained')
    axes = figure.subplots(1, 1 + known, squeeze=False)
    ours = axes[0, 0]
    for shift, (model, rows) in zip((-0.12, 0.12), records.items(), strict=False):
        color = 'C0' if shift < 0 else 'C1'
        for x, record in enumerate(rows):
            dots = [value for key, value in record.items() if key.startswith('seed ') and value is not None]
            ours.plot([x + shift] * len(dots), dots, '.', color=color, alpha=0.5)
        places = [x + shift for x, record in enumerate(rows) if record['mean'] is not None]
        means = [record['mean'] for record in rows if record['mean'] is not None]
        spreads = [record['std'] or 0 for record in rows if record['mean'] is not None]
        ours.errorbar(places, means, spreads, fmt='_', color=color, capsize=3, markersize=12, label=model)
    ours.set_title(title)
    ours.legend()
    if known:
        axes[0, 1].plot([np.nan if value is None else value for value in paper], 'ks')
        axes[0, 1].set_title('the paper, COCO')
    for axis in axes[0]:
        axis.set_xticks(range(len(labels)), labels, rotation=20, ha='right')
        axis.set_xlim(-0.5, len(labels) - 0.5)
        axis.set_ylabel('COCO mAP')
        axis.grid(axis='y', alpha=0.3)
    figure.savefig(path, dpi=100)
