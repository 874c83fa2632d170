"""The paper's ablations, a table a command: `python tools/ablate.py 7 --data demo --seeds 0 1 2`.

Trains the rows of a table one after another, every row of a seed before the next seed, and prints and plots the
outcome beside the paper's figures. A run that is finished is not trained again, one that was stopped continues, and
rows that are the same experiment share a run. A row is a config of configs/ablations/ and what tables.py overrides in
it.
"""

import argparse
import copy
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from mmcv import Config, ConfigDict

from ssod.apis import InputError, load_config
from ssod.apis.checks import check_train_config
from ssod.apis.config import Options, read_config, write_config
from ssod.apis.overrides import merge_options
from ssod.apis.runs import (
    ROOT,
    StopRequest,
    alone_in,
    evaluated_at_end,
    forget_unevaluated,
    prepare_shapes,
    run_training,
)

from .tables import TABLES, Scores, all_rows, write_report

CONFIGS = ROOT / 'configs'
# The data, and Soft Teacher's and the supervised baseline's config for it.
BASES = {
    'demo': (CONFIGS / 'demo/soft_teacher_r18_shapes.py', CONFIGS / 'demo/faster_rcnn_r18_shapes.py'),
    'bccd': (
        CONFIGS / 'soft_teacher/soft_teacher_faster_rcnn_r18_fpn_bccd.py',
        CONFIGS / 'baseline/faster_rcnn_r18_fpn_bccd.py',
    ),
    'coco': (
        CONFIGS / 'soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py',
        CONFIGS / 'baseline/faster_rcnn_r50_caffe_fpn_coco_partial_180k.py',
    ),
}
MULTI_STAGE = 'multi_stage'  # the row that tools/train_multi_stage.sh trains, a baseline first


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('tables', metavar='TABLE', type=int, nargs='+', choices=TABLES, help='6 to 11')
    parser.add_argument('--data', choices=BASES, default='demo', help='what to train on')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='one run of each row for each seed')
    parser.add_argument('--gpus', type=int, default=1, help='processes of each run')
    parser.add_argument('--jobs', type=int, default=1, help='runs side by side')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/ablations'), help='where everything goes')
    parser.add_argument('--report', action='store_true', help='train nothing, report what is finished')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    return parser.parse_args()


base_config = cache(read_config)  # to be copied before it is changed


@cache
def row_config(name: str, data: str) -> Config:
    """A file of configs/ablations/ with the data's Soft Teacher as its base, to be copied before it is changed."""
    path = CONFIGS / f'ablations/{name}.py'
    text = re.sub(r'^_base_ = .*$', f'_base_ = {str(BASES[data][0])!r}', path.read_text(), count=1, flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder, path.name)
        copied.write_text(text)
        return Config(read_config(copied)._cfg_dict, filename=str(path))


def run_config(name: str, data: str, options: dict | None = None) -> Config:
    """The config of a row on some data: the row's settings over those of that data's Soft Teacher.

    Args:
        name: of the row.
        data: of ``BASES``.
        options: of the command line, over the row's.

    Raises:
        InputError: the options do not fit.
    """
    row = all_rows()[name]
    cfg = copy.deepcopy(row_config(row.config, data))
    if name == MULTI_STAGE:  # what that data's Soft Teacher has, as far as self-training has it too
        base = base_config(BASES[data][0]).model.semi_train_cfg
        cfg.model.semi_train_cfg = ConfigDict({key: base[key] for key in ('sup_weight', 'unsup_weight', 'ema')})
        cfg.pseudo_score_thr = base.cls_filter.thr
    merge_options(cfg, dict(row.overrides))
    merge_options(cfg, options or {})
    return cfg


# How a setting of the multi-stage row is called in its first stage; what follows is not for that stage.
IN_BASELINE = {'model.detector.': 'model.', 'data.train.labeled.': 'data.train.', 'sup_pipeline.': 'train_pipeline.'}
NOT_IN_BASELINE = ('model.semi', 'custom_hooks', 'data.sampler', 'data.samples_per_gpu', 'data.train.unlabeled')


def baseline_config(data: str, options: dict) -> Config:
    """The config of the multi-stage row's first stage; options of the method and of its batches are not for it."""
    cfg, semi = copy.deepcopy(base_config(BASES[data][1])), base_config(BASES[data][0])
    own = {}
    for key, value in options.items():
        for prefix, replaced in IN_BASELINE.items():
            key = replaced + key.removeprefix(prefix) if key.startswith(prefix) else key
        name = key.split('.')[0]
        if not key.startswith(NOT_IN_BASELINE) and (name in cfg or name not in semi):
            own[key] = value
    merge_options(cfg, own)
    return cfg


@cache
def shared_runs(data: str) -> dict[str, str]:
    """For each row's name the first one that is the same experiment on that data: they share its run."""
    configs = {name: run_config(name, data)._cfg_dict for name in all_rows()}
    return {name: next(first for first in configs if configs[first] == configs[name]) for name in configs}


def prepare(name: str, args: argparse.Namespace) -> Path:
    """Write a run's config to its folder, the same for every seed, and check that it can be trained.

    Raises:
        InputError: the folder has runs with other settings, or the config or its data are unusable.
    """
    folder = args.out / args.data / name
    path = write_config(run_config(name, args.data, args.cfg_options), folder / f'{name}.py')
    try:
        cfg = load_config(str(path), work_dir=str(folder))
        if name == MULTI_STAGE:  # its pseudo labels are not there yet: what can be checked is the first stage
            baseline = write_config(baseline_config(args.data, args.cfg_options), folder / 'baseline.py')
            cfg = load_config(str(baseline), work_dir=str(folder))
        check_train_config(cfg)
    except InputError as error:
        hint = '; README.md says how to make it from the BCCD data set' if args.data == 'bccd' else ''
        raise InputError(f'{error}{hint}') from error
    return path


def result_dir(folder: Path, seed: int) -> Path:
    """Where the training that counts leaves its log: the last stage's."""
    return folder / f'seed{seed}' / ('stac' if folder.name == MULTI_STAGE else '')


def last_scores(folder: Path, seed: int) -> dict[str, float] | None:
    """The mAP in points of 'student' and 'teacher' at a finished run's last evaluation; None if it is not finished."""
    config = folder / f'{folder.name}.py'
    last = evaluated_at_end(result_dir(folder, seed), read_config(config)) if config.is_file() else None
    if last is None:
        return None
    keys = {'student': 'student_bbox_mAP', 'teacher': 'teacher_bbox_mAP'}
    return {model: 100 * last[key] for model, key in keys.items() if key in last}


def train(config: Path, seed: int, args: argparse.Namespace, stop: StopRequest) -> str:
    """Train a run to its end, wherever it was; its name if it failed, else ''."""
    work_dir = config.parent / f'seed{seed}'
    label = f'{config.stem} seed {seed}'
    threads = 1 if args.jobs > 1 or args.gpus > 1 else max((os.cpu_count() or 1) // 2, 1)
    with alone_in(work_dir, stop):
        if stop.received or last_scores(config.parent, seed) is not None:  # or another process has trained it
            return ''
        forget_unevaluated(result_dir(config.parent, seed), read_config(config).runner.max_iters)
        try:
            run_training(*command_of(config, seed, args.gpus), work_dir, label, threads, stop)
        except InputError as error:
            print(f'{label}: {error}', file=sys.stderr, flush=True)
            return label
    return ''


def command_of(config: Path, seed: int, gpus: int) -> tuple[list, dict[str, str]]:
    """The command that trains a run or continues it, and its environment variables."""
    options = ['--work-dir', config.parent / f'seed{seed}', '--seed', seed]
    if config.stem == MULTI_STAGE:
        cfg = read_config(config)
        env = {'BASELINE': str(config.parent / 'baseline.py'), 'STAC': str(config)}
        return ['bash', ROOT / 'tools/train_multi_stage.sh', cfg.fold, cfg.percent, gpus, *options], env
    if gpus > 1:
        return ['bash', ROOT / 'tools/dist_train.sh', config, gpus, *options, '--auto-resume'], {}
    return [sys.executable, ROOT / 'tools/train.py', config, *options, '--auto-resume'], {}


def train_all(args: argparse.Namespace) -> list[str]:
    """Train what is not finished of the tables' rows, seed by seed; returns the runs that failed.

    Raises:
        InputError: a row cannot be trained; nothing has been started then.
    """
    shared = shared_runs(args.data)
    names = list(dict.fromkeys(shared[row.name] for table in args.tables for row in TABLES[table].rows))
    if args.data == 'demo' and 'data_root' not in args.cfg_options:
        prepare_shapes(Path(base_config(BASES['demo'][0]).data_root))
    configs = [prepare(name, args) for name in names]
    runs = [(config, seed) for seed in args.seeds for config in configs if last_scores(config.parent, seed) is None]
    print(f'{len(configs) * len(args.seeds)} runs, {len(runs)} of them to be trained', flush=True)
    stop = StopRequest()
    with ThreadPoolExecutor(args.jobs) as pool:
        failed = list(pool.map(lambda run: train(*run, args, stop), runs))
    if stop.received:
        sys.exit(stop.MESSAGE)
    return [label for label in failed if label]


def collect(table: int, args: argparse.Namespace) -> tuple[dict[str, Scores], list[str]]:
    """The scores of the table's finished runs, by model, row and seed; and the runs that are missing."""
    shared = shared_runs(args.data)
    scores: dict[str, dict] = {'student': {}, 'teacher': {}}
    missing = []
    for row in TABLES[table].rows:
        for seed in args.seeds:
            found = last_scores(args.out / args.data / shared[row.name], seed)
            if found is None:
                missing.append(f'{row.label} (seed {seed})')
            for model, score in (found or {}).items():
                scores[model].setdefault(row.label, {})[seed] = score
    return scores, missing


def main() -> None:
    """Train and report; bad input ends in one sentence."""
    args = parse_args()
    failed = [] if args.report else train_all(args)
    for table in args.tables:
        scores, missing = collect(table, args)
        print(f'\n{write_report(table, args.data, args.seeds, scores, missing, args.out / args.data)}', flush=True)
    if failed:
        raise InputError(f'these runs failed, see output.txt in their folders: {", ".join(failed)}')
