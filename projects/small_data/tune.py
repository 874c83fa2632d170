"""Measure the levers of the small-data recipe on validation images.

    python -m projects.small_data.tune data/fish0/soft_teacher.py data/fish1/soft_teacher.py --jobs 2

Every config, one for each fold, is written by `ssod new`. For each the supervised baseline is trained until the
recipe's burn-in ends; every row continues from there, the baseline too, so that the rows of a fold share their
beginning. The table says what each row is better than that fold's baseline: the better of student and teacher of each,
at the last evaluation. Run again, it continues; rows that are finished are not trained again.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

from ssod.apis import InputError, load_config
from ssod.apis.checks import check_train_config, run_command
from ssod.apis.comparison.derive import baseline_config, method_config
from ssod.apis.config import write_config
from ssod.apis.runs import StopRequest, alone_in, evaluated_at_end, run_training

from .levers import LEVERS, Lever

METRIC = 'bbox_mAP'


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', type=Path, nargs='+', metavar='CONFIG', help='of each fold, from `ssod new`')
    parser.add_argument('--rows', nargs='+', choices=LEVERS, default=list(LEVERS), help='which rows (all)')
    parser.add_argument('--jobs', type=int, default=1, help='trainings side by side')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/small_data'), help='where everything goes')
    parser.add_argument('--report', action='store_true', help='train nothing, report what is finished')
    return parser.parse_args()


def prepare(config: Path, name: str, lever: Lever, folder: Path) -> Path:
    """Write a row's config for a fold, continuing from the shared beginning; refuse what cannot be trained.

    Args:
        config: of the fold.
        name: of the row, 'burn_in' for the shared beginning.
        lever: what it changes.
        folder: of the fold's runs.
    """
    cfg = load_config(str(config), dict(lever.options))
    own = baseline_config(cfg) if lever.supervised else method_config(cfg)
    if name == 'burn_in':
        own.runner.max_iters = own.evaluation.interval = own.checkpoint_config.interval = cfg.burn_in
    else:
        own.resume_from = str((folder / f'burn_in/seed0/iter_{cfg.burn_in}.pth').resolve())
    path = write_config(own, folder / name / f'{name}.py')
    check_train_config(load_config(str(path)))
    return path


def train(config: Path, stop: StopRequest) -> None:
    """Train a row to its end, wherever it was."""
    work_dir, cfg = config.parent / 'seed0', load_config(str(config))
    with alone_in(work_dir, stop):
        if stop.received or evaluated_at_end(work_dir, cfg):
            return
        command = [sys.executable, '-m', 'ssod.cli', 'train', config, '--work-dir', work_dir, '--seed', 0]
        if (work_dir / 'latest.pth').exists():  # further than the shared beginning
            command += ['--resume-from', work_dir / 'latest.pth']
        run_training(command, {}, work_dir, f'{config.parent.parent.name} {config.stem}', 1, stop)


def score(config: Path) -> float | None:
    """The mAP in points of the better of both models at the last evaluation; None if the run is not finished."""
    last = evaluated_at_end(config.parent / 'seed0', load_config(str(config))) if config.is_file() else None
    return last and 100 * max(last[f'{model}_{METRIC}'] for model in ('student', 'teacher'))


def interval(differences: list[float]) -> str:
    """Mean of the folds' differences with its 95 % interval (Student's t), as text."""
    mean = np.mean(differences)
    if len(differences) < 2:
        return f'{mean:+.1f}'
    half = student_t.ppf(0.975, len(differences) - 1) * np.std(differences, ddof=1) / len(differences) ** 0.5
    return f'{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})'


def table(rows: list[str], folds: list[Path]) -> str:
    """A markdown table: mAP of each row and fold, and the mean difference to the baseline."""
    scores = {row: [score(fold / row / f'{row}.py') for fold in folds] for row in ['baseline', *rows]}
    lines = [f'| mAP, validation | {" | ".join(fold.name for fold in folds)} | to the baseline |']
    lines.append('|---' * (len(folds) + 2) + '|')
    for row in dict.fromkeys(['baseline', *rows]):
        cells = ['' if value is None else f'{value:.1f}' for value in scores[row]]
        pairs = zip(scores[row], scores['baseline'], strict=True)
        gains = [own - other for own, other in pairs if own is not None and other is not None]
        gain = interval(gains) if gains and row != 'baseline' else ''
        lines.append(f'| {LEVERS[row].label} | {" | ".join(cells)} | {gain} |')
    return '\n'.join(lines)


def main() -> None:
    """Train and report; bad input ends in one sentence."""
    args = parse_args()
    folds = [args.out / config.parent.name for config in args.configs]
    if not args.report:
        beginnings = [
            prepare(config, 'burn_in', Lever('', supervised=True), fold)
            for config, fold in zip(args.configs, folds, strict=True)
        ]
        stop = StopRequest()
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda path: train(path, stop), beginnings))
            rows = [
                prepare(config, row, LEVERS[row], fold)
                for row in args.rows
                for config, fold in zip(args.configs, folds, strict=True)
            ]
            list(pool.map(lambda path: train(path, stop), rows))
        if stop.received:
            raise InputError(StopRequest.MESSAGE)
    text = table(args.rows, folds)
    (args.out / 'levers.md').write_text(text + '\n', encoding='utf-8')
    print(text)


if __name__ == '__main__':
    run_command(main)
