"""Time the parts of training, beside a peer if one is at hand.

    python benchmarks/benchmark.py step              a training step: EMA, losses, backward, optimizer
    python benchmarks/benchmark.py step --count      kernels of a step and waits of the host, on a device of its own
    python benchmarks/benchmark.py loader            batches, collated and ready to move to the device
    python benchmarks/benchmark.py ema               an update of the teacher, and the same as a loop
    python benchmarks/benchmark.py inference         detection, image by image

    --plain              beside ours without the faster parts of ssod.accel
    --official DIR       beside the authors' implementation, checked out in DIR
    --mmdet3 PYTHON      beside MMDetection 3's SoftTeacher, in the environment whose Python that is

All take turns in one run, each in a process of its own, with the same weights, images and thresholds; the ratio is
that of our median to theirs. `--cfg-options accelerate=False` takes the faster parts out of our own row.
benchmarks/README.md says more.
"""
# ruff: noqa: E402  (the folder of `benchmarks` has to be found first)

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ssod  # noqa: F401  first: it keeps mmcv's import quiet

# isort: split
import mmcv
import torch
from mmcv import Config
from mmdet.datasets import CocoDataset

from benchmarks.case import write_case, write_photos
from benchmarks.report import print_counts, print_tables
from benchmarks.rounds import measure
from ssod.apis import load_config
from ssod.apis.checks import run_command
from ssod.apis.config import Options
from ssod.core.errors import building

CONFIG = 'configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
NUM_JITTERS = 'model.semi_train_cfg.reg_filter.num_jitters'


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=['step', 'loader', 'ema', 'inference'])
    parser.add_argument('--config', default=CONFIG, help='a Soft Teacher config (default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    parser.add_argument('--images', type=int, nargs=2, default=[1, 4], metavar=('LABELED', 'UNLABELED'))
    parser.add_argument('--size', type=int, nargs=2, default=[320, 480], metavar=('H', 'W'), help="of a step's images")
    parser.add_argument('--candidates', type=int, default=8, help='per image, that the teacher finds (8)')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--amp', choices=['float16', 'bfloat16'], help='mixed precision')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(), help='of torch (%(default)s)')
    parser.add_argument('--workers', type=int, help='of the loader; given, a step takes its batches from it')
    parser.add_argument('--batches', type=int, default=8, help="of a loader's run (8)")
    parser.add_argument('--photos', metavar='DIR', help='JPEG files to load (default: generated)')
    parser.add_argument('--photo-size', type=int, nargs=2, default=[480, 640], metavar=('H', 'W'))
    parser.add_argument('--warmup', type=int, default=1, help='runs that do not count (1)')
    parser.add_argument('--repeats', type=int, default=3, help='runs that count (3)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--plain', action='store_true', help='time ours without ssod.accel, too')
    parser.add_argument('--official', metavar='DIR', help="checkout of the authors' repository")
    parser.add_argument('--official-python', metavar='PYTHON', default=sys.executable, help='that runs it (this one)')
    parser.add_argument('--mmdet3', metavar='PYTHON', help='Python of an environment with MMDetection 3')
    parser.add_argument('--vary', nargs='+', metavar=('NAME', 'VALUE'), help=f'one of {", ".join(VARIED)}')
    parser.add_argument('--profile', metavar='FILE', help='a Chrome trace of one more run of ours')
    parser.add_argument('--count', action='store_true', help='of a step: kernels, waits and uploads instead of seconds')
    parser.add_argument('--json', metavar='FILE', help='write all figures to this file')
    args = parser.parse_args()
    refuse_nonsense(parser, args)
    if args.count:
        args.device, args.warmup, args.repeats = (
            'cpu',
            1,
            1,
        )  # counts are exact; the first step makes the optimizer's state
    refuse_missing_peers(parser, args)
    return args


def refuse_nonsense(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a usage message for settings that exclude one another."""
    peers = args.plain or args.official or args.mmdet3
    if args.vary and (args.vary[0] not in VARIED or len(args.vary) < 2):
        parser.error(f'--vary takes one of {", ".join(VARIED)} and values, got {" ".join(args.vary)}')
    if 'RANK' in os.environ and (args.kind != 'step' or peers):
        parser.error('under torchrun our own step alone is timed')
    if args.plain and args.kind not in ('step', 'inference'):
        parser.error('--plain is for a step or for inference: ssod.accel has part in no other')
    workers = args.workers is not None or 'workers' in (args.vary or ())
    if args.kind == 'step' and workers and (args.official or args.mmdet3):
        parser.error('beside a peer a step takes its batch from memory: leave out the workers')
    if args.count and (args.kind != 'step' or args.amp or args.workers is not None or args.profile):
        parser.error('--count is for a step in float32 from memory: leave out --amp, --workers and --profile')
    if args.amp and args.kind != 'step':
        parser.error('--amp is for a step')
    if args.amp == 'float16' and args.device == 'cpu':
        parser.error('--amp float16 needs a GPU; bfloat16 works on a CPU')
    if args.amp == 'bfloat16' and args.official:
        parser.error("the authors' implementation knows float16 alone: leave out --official")
    if args.vary and args.profile:
        parser.error('--profile traces one case: leave out --vary')
    if args.repeats < 1 or args.threads < 1 or min(*args.images, *args.size) < 1:
        parser.error('--repeats, --threads, --images and --size are at least 1')


def refuse_missing_peers(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a usage message for a peer that is not there."""
    if args.official and not Path(args.official, 'ssod').is_dir():
        parser.error(f"--official {args.official}: not a checkout of the authors' repository, it has no package ssod")
    for name in ('mmdet3', 'official_python'):
        python = getattr(args, name)
        if python and not shutil.which(python):
            parser.error(f'--{name.replace("_", "-")} {python}: no such program')


# What --vary sets: the settings that a value, as written, changes.
VARIED = dict(
    candidates=lambda value: dict(candidates=int(value)),
    jitters=lambda value: dict(jitters=int(value)),
    unlabeled=lambda value: dict(unlabeled=int(value)),
    size=lambda value: dict(size=[int(side) for side in value.split('x')]),
    workers=lambda value: dict(workers=int(value)),
)


def prepare(args: argparse.Namespace, changes: dict, folder: str) -> dict:
    """Write the case with some settings changed; the settings."""
    settings = {**vars(args), **changes, 'processes': int(os.environ.get('WORLD_SIZE', 1))}
    options = dict(args.cfg_options)
    if 'jitters' in changes:
        options[NUM_JITTERS] = changes['jitters']
    if 'unlabeled' in changes:
        settings['images'] = [args.images[0], changes['unlabeled']]
    if args.kind == 'loader' and settings['workers'] is None:
        settings['workers'] = 0
    with building('--config'):
        cfg = load_config(args.config, options)
        write_case(Path(folder), cfg, settings)
        if settings['workers'] is not None:
            classes = cfg.get('classes') or CocoDataset.CLASSES
            write_photos(Path(folder), args.photos, tuple(args.photo_size), classes)
            write_train_set(cfg, folder)
    return settings


def write_train_set(cfg: Config, folder: str) -> None:
    """Write ``train_set.pkl``: the config's training set over the folder's images."""
    for name in ('labeled', 'unlabeled'):
        cfg.data.train[name].update(data_root='', img_prefix='', ann_file=f'{folder}/{name}.json')
    mmcv.dump(cfg.data.train, f'{folder}/train_set.pkl')


def main() -> None:
    """Measure, print, write."""
    args = parse_args()
    logging.getLogger('mmcv').setLevel(logging.WARNING)  # it would tell of every layer that it initializes
    first = int(os.environ.get('RANK', 0)) == 0
    if args.profile and not first:
        args.profile = os.devnull  # all ranks run once more, one writes
    changes = [VARIED[args.vary[0]](value) for value in args.vary[1:]] if args.vary else [{}]
    cases = []
    for change in changes:
        with tempfile.TemporaryDirectory() as folder:
            settings = prepare(args, change, folder)
            cases.append(dict(changes=change, results=measure(args, settings, folder)))
        if first:
            (print_counts if args.count else print_tables)(cases[-1])
    if args.json and first:
        device = torch.cuda.get_device_name() if args.device == 'cuda' else f'{os.cpu_count()} CPU cores'
        about = dict(command=sys.argv, date=str(date.today()), device=device, torch=torch.__version__)
        Path(args.json).write_text(json.dumps(dict(**about, cases=cases), indent=1))


if __name__ == '__main__':
    run_command(main)
