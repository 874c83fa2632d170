"""Train a detector: `python tools/train.py CONFIG`, or through torchrun (see tools/dist_train.sh)."""

import argparse
import os.path as osp
import time

import ssod  # noqa: F401  first: it keeps its host quiet

# isort: split
import mmcv
import torch
from mmcv.runner import get_dist_info
from mmdet.apis import set_random_seed
from mmdet.utils import collect_env, get_root_logger, setup_multi_processes

from ssod.apis import load_config, train_detector
from ssod.apis.checks import building, check_train_config, run_command
from ssod.apis.config import Options
from ssod.apis.train import run_seed
from ssod.compat import init_distributed


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where checkpoints and logs go')
    parser.add_argument('--resume-from', metavar='CHECKPOINT', help='continue from this checkpoint')
    parser.add_argument('--auto-resume', action='store_true', help='continue from the latest of the work dir')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument('--seed', type=int, help="seed of every draw (default: the config's, else drawn)")
    parser.add_argument('--deterministic', action='store_true', help='deterministic cuDNN kernels')
    parser.add_argument('--wandb', action='store_true', help='log to Weights & Biases too (project, name: cfg.wandb)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def configure(args: argparse.Namespace) -> mmcv.Config:
    """The config with the command line's settings."""
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    if args.resume_from:
        cfg.resume_from = args.resume_from
    cfg.auto_resume = args.auto_resume or cfg.get('auto_resume', False)
    if args.no_validate:
        cfg.pop('evaluation', None)
    if args.wandb:
        init = {'project': 'ssod', 'name': cfg.cfg_name, **cfg.get('wandb', {}), 'dir': cfg.work_dir}
        cfg.log_config.hooks.append(dict(type='WandbLoggerHook', init_kwargs=init))
    return cfg


def main() -> None:
    """Train; bad input ends in one sentence."""
    args = parse_args()
    cfg = configure(args)
    check_train_config(cfg)  # before anything that takes time
    setup_multi_processes(cfg)
    distributed = args.launcher != 'none'
    if distributed:
        with building('--launcher pytorch'):
            init_distributed()
    mmcv.mkdir_or_exist(cfg.work_dir)
    timestamp = time.strftime('%Y%m%d_%H%M%S', time.localtime())
    logger = get_root_logger(osp.join(cfg.work_dir, f'{timestamp}.log'), cfg.get('log_level', 'INFO'))
    seed = run_seed(args.seed if args.seed is not None else cfg.get('seed'))
    set_random_seed(seed, deterministic=args.deterministic)
    logger.info('Environment:\n' + '\n'.join(f'{key}: {value}' for key, value in collect_env().items()))
    logger.info(f'Seed {seed}, {get_dist_info()[1]} process(es), {"GPU" if torch.cuda.is_available() else "CPU"}')
    train_detector(cfg, seed, distributed, timestamp)


if __name__ == '__main__':
    run_command(main)
