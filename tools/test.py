"""Evaluate a checkpoint: `python tools/test.py CONFIG CHECKPOINT --eval bbox`, or through tools/dist_test.sh."""

import argparse
import os.path as osp

import ssod  # noqa: F401  first: it keeps its host quiet

# isort: split
import mmcv
from mmcv.runner import get_dist_info
from mmdet.utils import setup_multi_processes

from ssod.apis import load_config, test_detector
from ssod.apis.checks import building, run_command
from ssod.apis.config import Options
from ssod.compat import init_distributed


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--eval', nargs='+', default=[], metavar='METRIC', help='metrics of the data set, e.g. bbox')
    parser.add_argument('--eval-on', choices=['student', 'teacher', 'both'], help="default: the config's predict_on")
    parser.add_argument('--out', metavar='FILE.pkl', help='write the detections')
    parser.add_argument('--work-dir', help='where eval.json goes')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.eval and not args.out:
        parser.error('nothing to do: give --eval bbox, or --out FILE.pkl')
    return args


def main() -> None:
    """Evaluate; bad input ends in one sentence."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    setup_multi_processes(cfg)
    distributed = args.launcher != 'none'
    if distributed:
        with building('--launcher pytorch'):
            init_distributed()
    mmcv.mkdir_or_exist(cfg.work_dir)
    values, detections = test_detector(cfg, args.checkpoint, args.eval, args.eval_on, distributed)
    if get_dist_info()[0] != 0:
        return
    if args.out:
        mmcv.dump(detections[''] if list(detections) == [''] else detections, args.out)
    if values:
        print(values)
        mmcv.dump(values, osp.join(cfg.work_dir, 'eval.json'), indent=1)


if __name__ == '__main__':
    run_command(main)
