"""`ssod train` and `ssod test`."""

import argparse
import logging
import os
import os.path as osp
import time
from typing import Any

import mmcv
import torch
from mmcv.runner import get_dist_info
from mmdet.apis import set_random_seed
from mmdet.utils import collect_env, get_root_logger, setup_multi_processes

from ssod.apis import load_config, test_detector, train_detector
from ssod.apis.auto_batch import find_batch, set_batch
from ssod.apis.checks import check_train_config
from ssod.apis.data_checks import check_out
from ssod.apis.ranges_check import SEED
from ssod.apis.replay import replay as replay_step
from ssod.apis.start import own_checkpoints, seed_of, start_of
from ssod.apis.train import run_seed
from ssod.core.errors import InputError
from ssod.core.files import replacing
from ssod.core.progress import is_of_class
from ssod.hooks.process_group import max_over_ranks

from .options import Arguments, add_run_options, join_processes, make_parser


def train(argv: Arguments = None, prog: str | None = None) -> None:
    """Train a detector, semi-supervised or not."""
    parser = make_parser(train.__doc__, prog, 'config')
    parser.add_argument('--work-dir', help='where checkpoints and logs go')
    parser.add_argument('--resume-from', metavar='CHECKPOINT', help='continue from this checkpoint')
    parser.add_argument('--auto-resume', action='store_true', help='continue from the latest of the work dir')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    scale = "scale lr and schedule to this run's images per step, from those of base_batch in the config"
    parser.add_argument('--auto-scale', action='store_true', help=scale)
    fit = 'find how many images fit the memory of the GPU; accumulate gradients over as many as base_batch has'
    parser.add_argument('--auto-batch', action='store_true', help=fit + '; with --auto-scale')
    of_seed = "seed of every draw (default: the config's, that of the run that goes on, else drawn)"
    parser.add_argument('--seed', type=int, help=of_seed)
    parser.add_argument('--deterministic', action='store_true', help='deterministic cuDNN kernels')
    parser.add_argument('--tensorboard', action='store_true', help='log to TensorBoard too, in the work dir')
    parser.add_argument('--wandb', action='store_true', help='log to Weights & Biases too (project, name: cfg.wandb)')
    parser.add_argument('--mlflow', action='store_true', help='log to MLflow too (experiment, tags: cfg.mlflow)')
    add_run_options(parser)
    args = parser.parse_args(argv)
    if args.seed is not None and not SEED.holds(args.seed):
        parser.error(f'--seed is {SEED.words}, got {args.seed}')
    cfg = configure(args)
    check_train_config(cfg)  # before anything that takes time
    setup_multi_processes(cfg)
    torch.backends.cudnn.benchmark = cfg.get('cudnn_benchmark', False)
    timestamp = time.strftime('%Y%m%d_%H%M%S', time.localtime())
    logger = start_log(cfg, timestamp, args.launcher)
    fitting = find_batch(cfg) if args.auto_batch else 0  # a step of one process must not wait for another's
    distributed = join_processes(args)
    seed = args.seed if args.seed is not None else cfg.get('seed')
    seed = run_seed(seed_of(start_of(cfg)) if seed is None else seed)
    set_random_seed(seed, deterministic=args.deterministic)
    logger.info('Environment:\n' + '\n'.join(f'{key}: {value}' for key, value in collect_env().items()))
    logger.info(f'Seed {seed}, {get_dist_info()[1]} process(es), {"GPU" if torch.cuda.is_available() else "CPU"}')
    if args.auto_batch:
        logger.info(set_batch(cfg, -max_over_ranks(-fitting) if distributed else fitting, get_dist_info()[1]))
    train_detector(cfg, seed, distributed, timestamp)


def make_work_dir(folder: str) -> None:
    """Make the work dir.

    Raises:
        InputError: it cannot be made.
    """
    try:
        mmcv.mkdir_or_exist(folder)
    except OSError as error:
        raise InputError(f'cannot make the work dir {folder}: {error.strerror}: give another --work-dir') from error


def start_log(cfg: mmcv.Config, timestamp: str, launcher: str) -> logging.Logger:
    """MMDetection's logger, with a file in the work dir on rank 0; the processes need not have joined yet."""
    make_work_dir(cfg.work_dir)
    if launcher != 'none' and os.environ.get('RANK', '0') != '0':
        return get_root_logger(log_level='ERROR')
    return get_root_logger(osp.join(cfg.work_dir, f'{timestamp}.log'), cfg.get('log_level', 'INFO'))


def configure(args: argparse.Namespace) -> mmcv.Config:
    """The config with the settings of the command line of :func:`train`."""
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    if args.resume_from:
        cfg.resume_from = args.resume_from
    cfg.auto_resume = args.auto_resume or cfg.get('auto_resume', False)
    if os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') != '0' and own_checkpoints(cfg):
        cfg.resume_from, cfg.auto_resume = None, True  # torchrun has started a run again that went further
    if args.auto_scale or (args.auto_batch and 'base_batch' in cfg):
        cfg.auto_scale = True
    if args.no_validate:
        cfg.pop('evaluation', None)
    add_trackers(cfg, args)
    return cfg


def add_trackers(cfg: mmcv.Config, args: argparse.Namespace) -> None:
    """Add to the config the trackers that the command line asks for, those aside that it has."""
    loggers = cfg.get('log_config', {}).get('hooks', [])
    init = {'project': 'ssod', 'name': cfg.cfg_name, **cfg.get('wandb', {}), 'dir': cfg.work_dir}
    run = {'exp_name': 'ssod', **cfg.get('mlflow', {})}
    run['tags'] = {'mlflow.runName': cfg.cfg_name, **run.get('tags', {})}
    asked: list[tuple[bool, dict[str, Any]]] = [
        (args.tensorboard, dict(type='TensorboardLoggerHook')),
        (args.wandb, dict(type='WandbLoggerHook', init_kwargs=init)),
        (args.mlflow, dict(type='MlflowLoggerHook', **run)),
    ]
    for wanted, tracker in asked:
        if wanted and not any(hook['type'] == tracker['type'] for hook in loggers):
            loggers.append(mmcv.ConfigDict(tracker))


def test(argv: Arguments = None, prog: str | None = None) -> None:
    """Evaluate a checkpoint on data.test of a config."""
    parser = make_parser(test.__doc__, prog, 'config', 'checkpoint')
    parser.add_argument('--eval', nargs='+', default=[], metavar='METRIC', help='metrics of the data set, e.g. bbox')
    parser.add_argument('--eval-on', choices=['student', 'teacher', 'both'], help="default: the config's predict_on")
    parser.add_argument('--out', metavar='FILE.pkl', help='write the detections')
    parser.add_argument('--work-dir', help='where eval.json goes')
    add_run_options(parser)
    args = parser.parse_args(argv)
    if not args.eval and not args.out:
        parser.error('nothing to do: give --eval bbox, or --out FILE.pkl')
    if args.out and not args.out.endswith(('.pkl', '.pickle', '.json', '.yaml', '.yml')):
        parser.error(f'--out is a file FILE.pkl, got {args.out}')
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    if args.out:
        check_out(args.out, cfg, args.checkpoint)
    setup_multi_processes(cfg)
    distributed = join_processes(args)
    make_work_dir(cfg.work_dir)
    values, detections = test_detector(
        cfg, args.checkpoint, args.eval, args.eval_on, distributed, keep_all=bool(args.out)
    )
    if get_dist_info()[0] != 0:
        return
    if args.out:
        with replacing(args.out) as temporary:
            mmcv.dump(detections[''] if list(detections) == [''] else detections, str(temporary))
    if values:
        print({key: value for key, value in values.items() if not is_of_class(key)})
        with replacing(osp.join(cfg.work_dir, 'eval.json')) as temporary:
            mmcv.dump(values, str(temporary), indent=1)


def replay(argv: Arguments = None, prog: str | None = None) -> None:
    """Make a training step again whose losses were not finite.

    CHECKPOINT is a nonfinite_iter_N.pth of the run's work dir. With the run's CONFIG and --cfg-options, its data, and
    as many processes, the losses are the same bit for bit.
    """
    parser = make_parser(replay.__doc__, prog, 'config')
    parser.add_argument('checkpoint', metavar='FILE', help='nonfinite_iter_N.pth, which the run has kept')
    add_run_options(parser)
    args = parser.parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    setup_multi_processes(cfg)
    before, now = replay_step(cfg, args.checkpoint, join_processes(args))
    if get_dist_info()[0] != 0:
        return
    for name in before:
        print(f'{name}: {before[name]!r}, now {now.get(name)!r}')
    same = all(repr(before[name]) == repr(now.get(name)) for name in before)
    print('the same, bit for bit' if same else 'not the same: another machine, number of threads, or code')
