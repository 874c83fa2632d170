"""How far trainings are, as rich draws it and as a line says it."""

import datetime
from collections.abc import Mapping
from typing import Any

from .progress import Progress

COUNT = 'num_pseudo_cls'


def of_run(run: Progress) -> Any:
    """The training of this process, in a few lines."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Table.grid(padding=(0, 1), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True)
    bar = ProgressBar(total=run.max_iters or 1, completed=run.iteration or 0)
    left = '' if run.seconds_left is None else f'{time_of(run.seconds_left)} left'
    head.add_row(Text(f'iteration {run.iteration or 0}/{run.max_iters or "?"}'), bar, Text(left))
    lines = [losses_of(run), pseudo_of(run), speed_of(run), metrics_of(run), run.best]
    return Group(head, *(Text(f'  {line}', no_wrap=True, overflow='ellipsis') for line in lines if line))


def of_runs(runs: Mapping[str, Progress]) -> Any:
    """Several trainings, one row per training."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for _ in range(5):
        table.add_column(no_wrap=True, overflow='ellipsis')
    for label, run in runs.items():
        training = run.max_iters is not None
        done, total = (run.iteration, run.max_iters) if training else (run.done, run.total)
        left = '' if run.seconds_left is None else f'{time_of(run.seconds_left)} left'
        figures = '   '.join(filter(None, (metrics_of(run), pseudo_of(run))))
        what = f'{done or 0}/{total or "?"}' if run.what == 'training' else run.what
        bar = ProgressBar(total=total or 1, completed=done or 0, width=20)
        table.add_row(Text(label), bar, Text(what), Text(left), Text(figures))
    return table


def losses_of(run: Progress) -> str:
    """The losses by group."""
    sums = {key: value for key, value in run.losses.items() if key != 'loss'}
    if not run.losses:
        return ''
    parts = [f'loss {run.losses["loss"]:.3f}'] if 'loss' in run.losses else []
    return '   '.join(parts + [f'{key} {value:.3f}' for key, value in sums.items()] * (len(sums) > 1))


def pseudo_of(run: Progress) -> str:
    """Pseudo labels per image, or that they wait."""
    if run.figures.get('unsup_weight') == 0:
        return 'burn-in: labeled images alone'
    if COUNT in run.figures:
        return f'pseudo boxes per image {run.figures[COUNT]:.1f}'
    share = next((key for key in ('confident_share', 'num_pseudo') if key in run.figures), None)
    return '' if share is None else f'{share} {run.figures[share]:.2f}'


def speed_of(run: Progress) -> str:
    """Seconds of an iteration, and the learning rate."""
    parts = []
    if 'time' in run.figures:
        waiting = run.figures.get('data_time', 0.0)
        parts.append(f'{run.figures["time"]:.2f} s per iteration, {waiting:.2f} s of it for data')
    if 'lr' in run.figures:
        parts.append(f'lr {run.figures["lr"]:.3g}')
    return '   '.join(parts)


def metrics_of(run: Progress) -> str:
    """The last evaluation, in points."""
    return '   '.join(f'{key} {100 * value:.1f}' for key, value in run.metrics.items())


def time_of(seconds: float) -> str:
    """H:MM:SS."""
    return str(datetime.timedelta(seconds=int(seconds)))


def step_line(label: str, run: Progress) -> str:
    """A line on an iteration, for a script's output."""
    left = '' if run.seconds_left is None else f'   remaining {time_of(run.seconds_left)}'
    loss = f'   loss {run.losses["loss"]:.2f}' if 'loss' in run.losses else ''
    pseudo = pseudo_of(run)
    return f'  {label:12} {run.iteration:>4}/{run.max_iters}{left}{loss}' + (f'   {pseudo}' if pseudo else '')


def evaluation_line(label: str, run: Progress) -> str:
    """A line on an evaluation."""
    return f'  {label:12} {metrics_of(run)}'
