"""The command `ssod`, and what tools/train.py, test.py, pseudo_label.py and publish_model.py call.

    ssod train CONFIG                                    train a detector, semi-supervised or not
    ssod test CONFIG CHECKPOINT --eval bbox              evaluate a checkpoint
    ssod pseudo-label CONFIG CHECKPOINT --out FILE.json  let a detector label a config's unlabeled images
    ssod publish CHECKPOINT --out NAME.pth               a plain MMDetection model of student or teacher
    ssod new NAME --labeled PATH --unlabeled PATH        a data set of raw folders

`ssod COMMAND --help` says more. On several GPUs: tools/dist_train.sh, tools/dist_test.sh, or torchrun.
"""

import argparse
import logging
import os
import os.path as osp
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mmcv
import mmdet
import torch
from mmcv.runner import get_dist_info
from mmdet.apis import set_random_seed
from mmdet.utils import collect_env, get_root_logger, setup_multi_processes

from ssod.apis import load_config, new_dataset, test_detector, train_detector
from ssod.apis.auto_batch import find_batch, set_batch
from ssod.apis.checks import check_train_config, run_command
from ssod.apis.config import Options
from ssod.apis.labeling import label_images
from ssod.apis.publishing import publish as publish_model
from ssod.apis.train import run_seed
from ssod.compat import init_distributed
from ssod.core.errors import building
from ssod.hooks.process_group import max_over_ranks

Arguments = Sequence[str] | None  # of the command line; None are those of the process


def make_parser(about: str, prog: str | None, *positional: str) -> argparse.ArgumentParser:
    """A parser with the arguments that have to be given, and a command's own text as its help."""
    parser = argparse.ArgumentParser(prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in positional:
        parser.add_argument(name, help=f'{name} file')
    return parser


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a model."""
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)


def join_processes(args: argparse.Namespace) -> bool:
    """Join the other processes of a launcher; returns whether there is one."""
    if args.launcher == 'none':
        return False
    with building('--launcher pytorch'):
        init_distributed()
    return True


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
    parser.add_argument('--seed', type=int, help="seed of every draw (default: the config's, else drawn)")
    parser.add_argument('--deterministic', action='store_true', help='deterministic cuDNN kernels')
    parser.add_argument('--tensorboard', action='store_true', help='log to TensorBoard too, in the work dir')
    parser.add_argument('--wandb', action='store_true', help='log to Weights & Biases too (project, name: cfg.wandb)')
    add_run_options(parser)
    args = parser.parse_args(argv)
    cfg = configure(args)
    check_train_config(cfg)  # before anything that takes time
    setup_multi_processes(cfg)
    torch.backends.cudnn.benchmark = cfg.get('cudnn_benchmark', False)
    timestamp = time.strftime('%Y%m%d_%H%M%S', time.localtime())
    logger = start_log(cfg, timestamp, args.launcher)
    fitting = find_batch(cfg) if args.auto_batch else 0  # a step of one process must not wait for another's
    distributed = join_processes(args)
    seed = run_seed(args.seed if args.seed is not None else cfg.get('seed'))
    set_random_seed(seed, deterministic=args.deterministic)
    logger.info('Environment:\n' + '\n'.join(f'{key}: {value}' for key, value in collect_env().items()))
    logger.info(f'Seed {seed}, {get_dist_info()[1]} process(es), {"GPU" if torch.cuda.is_available() else "CPU"}')
    if args.auto_batch:
        logger.info(set_batch(cfg, -max_over_ranks(-fitting) if distributed else fitting, get_dist_info()[1]))
    train_detector(cfg, seed, distributed, timestamp)


def start_log(cfg: mmcv.Config, timestamp: str, launcher: str) -> logging.Logger:
    """MMDetection's logger, with a file in the work dir on rank 0; the processes need not have joined yet."""
    mmcv.mkdir_or_exist(cfg.work_dir)
    if launcher != 'none' and os.environ.get('RANK', '0') != '0':
        return get_root_logger(log_level='ERROR')
    return get_root_logger(osp.join(cfg.work_dir, f'{timestamp}.log'), cfg.get('log_level', 'INFO'))


def configure(args: argparse.Namespace) -> mmcv.Config:
    """The config with the settings of the command line of :func:`train`."""
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    if args.resume_from:
        cfg.resume_from = args.resume_from
    cfg.auto_resume = args.auto_resume or cfg.get('auto_resume', False)
    if args.auto_scale or (args.auto_batch and 'base_batch' in cfg):
        cfg.auto_scale = True
    if args.no_validate:
        cfg.pop('evaluation', None)
    loggers = cfg.get('log_config', {}).get('hooks', [])
    if args.tensorboard and not any(hook['type'] == 'TensorboardLoggerHook' for hook in loggers):
        loggers.append(mmcv.ConfigDict(type='TensorboardLoggerHook'))
    if args.wandb:
        init = {'project': 'ssod', 'name': cfg.cfg_name, **cfg.get('wandb', {}), 'dir': cfg.work_dir}
        loggers.append(mmcv.ConfigDict(type='WandbLoggerHook', init_kwargs=init))
    return cfg


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
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    setup_multi_processes(cfg)
    distributed = join_processes(args)
    mmcv.mkdir_or_exist(cfg.work_dir)
    values, detections = test_detector(cfg, args.checkpoint, args.eval, args.eval_on, distributed)
    if get_dist_info()[0] != 0:
        return
    if args.out:
        mmcv.dump(detections[''] if list(detections) == [''] else detections, args.out)
    if values:
        print(values)
        mmcv.dump(values, osp.join(cfg.work_dir, 'eval.json'), indent=1)


def pseudo_label(argv: Arguments = None, prog: str | None = None) -> None:
    """Let a detector label a config's unlabeled images.

    The detector is a supervised baseline, or the student or teacher of a semi-supervised one. It detects as it does in
    a test (data.test.pipeline). FILE is a COCO file: the images and categories of the unlabeled annotation file, and as
    annotations the detections above --score-thr, each with its score; PseudoLabelDataset reads it.
    """
    parser = make_parser(pseudo_label.__doc__, prog, 'config', 'checkpoint')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE.json', help='where the pseudo labels go')
    parser.add_argument(
        '--score-thr', type=float, help='write boxes with a score above it (0.5, or pseudo_score_thr if that is lower)'
    )
    parser.add_argument('--eval-on', choices=['student', 'teacher'], help="default: the config's predict_on")
    add_run_options(parser)
    args = parser.parse_args(argv)
    if args.score_thr is not None and not 0 <= args.score_thr <= 1:
        parser.error(f'--score-thr is a score in [0, 1], got {args.score_thr}')
    cfg = load_config(args.config, args.cfg_options)
    setup_multi_processes(cfg)
    distributed = join_processes(args)
    written = label_images(cfg, args.checkpoint, args.out, args.score_thr, args.eval_on, distributed)
    if written:
        print(written)


def publish(argv: Arguments = None, prog: str | None = None) -> None:
    """Make a plain MMDetection model of student or teacher.

    Writes NAME-HASH.pth, HASH being the first 8 digits of the file's sha256: the weights of one of the two under the
    plain detector's names, without optimizer. Beside it NAME-HASH.py, the plain detector's config with the data it was
    evaluated on. Neither needs this repository:

        python .../mmdet/.mim/tools/test.py NAME-HASH.py NAME-HASH.pth --eval bbox

    Takes checkpoints of ours and of the authors' repository. The weights can start a new run (load_from).
    """
    parser = make_parser(publish.__doc__, prog, 'checkpoint')
    parser.add_argument('--model', choices=['student', 'teacher'], default='student', help='which of the two (student)')
    parser.add_argument('--out', required=True, metavar='NAME.pth', help='the file; its hash is added to the name')
    args = parser.parse_args(argv)
    weights, config = publish_model(args.checkpoint, args.out, args.model)
    print(f'{weights}: the {args.model}, {weights.stat().st_size / 2**20:.1f} MiB')
    if config is None:
        print('The checkpoint holds no config: use the one of the plain detector that it was trained with.')
        return
    print(f'python {osp.join(osp.dirname(mmdet.__file__), ".mim/tools/test.py")} {config} {weights} --eval bbox')


def new(argv: Arguments = None, prog: str | None = None) -> None:
    """Make a data set of raw folders of images and labels, and report what is in them.

    Writes data/NAME/annotations/{labeled,unlabeled,val[,test]}.json and links data/NAME/images/{labeled,...} to the
    images, none of which is copied.

      ssod new cells --labeled cells/voc --unlabeled cells/more
      ssod new cells --labeled cells/train.json --unlabeled cells/images --val cells/val.json --classes RBC WBC
    """
    parser = make_parser(new.__doc__, prog)
    parser.add_argument('name', metavar='NAME', help='name of the set')
    labels = 'COCO JSON, Pascal VOC or YOLO text: a folder, or the .json or data.yaml'
    parser.add_argument('--labeled', type=Path, required=True, metavar='PATH', help=labels)
    aside = 'folder of images (default: part of the labeled ones is used without labels, to try)'
    parser.add_argument('--unlabeled', type=Path, metavar='PATH', help=aside)
    own = "validation images with labels (default: the labeled set's own, else a part split off)"
    parser.add_argument('--val', type=Path, metavar='PATH', help=own)
    parser.add_argument('--classes', nargs='+', metavar='CLASS', help='classes to use, in this order (default: all)')
    kept = 'without --unlabeled: share of the images that keep their labels, at least 20 or half of them (default: 10)'
    parser.add_argument('--labeled-percent', type=float, default=10, metavar='P', help=kept)
    parser.add_argument('--seed', type=int, default=0, help='of the parts that are drawn (default: 0)')
    parser.add_argument('--out', type=Path, metavar='FOLDER', help='where to write (default: data/NAME)')
    parser.add_argument('--force', action='store_true', help='write over a set that is there')
    args = parser.parse_args(argv)
    report = new_dataset(
        args.name,
        args.labeled,
        args.unlabeled,
        args.val,
        args.classes,
        args.seed,
        args.out,
        args.force,
        args.labeled_percent,
    )
    print(report)


COMMANDS: dict[str, Callable[..., None]] = {
    'train': train,
    'test': test,
    'pseudo-label': pseudo_label,
    'publish': publish,
    'new': new,
}


def main() -> None:
    """`ssod COMMAND ...`; bad input ends in one sentence."""
    name, *rest = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(__doc__)
    elif name not in COMMANDS:
        sys.exit(f'error: no command {name!r}: ssod has {", ".join(COMMANDS)}')
    else:
        run_command(lambda: COMMANDS[name](rest, f'ssod {name}'))


if __name__ == '__main__':
    main()
