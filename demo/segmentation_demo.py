"""Label maps in minutes on a CPU: `make demo DEMO_ARGS='--task segmentation'`.

Generates a small data set, labels 5 % of it, trains a supervised baseline from scratch, lets it label the other images,
and trains Simple Baseline on both, from the baseline's weights: one round of tools/train_rounds.sh. Table, curves and
pictures are in work_dirs/demo/segmentation.
"""

import argparse
import shutil
import time
from pathlib import Path

import matplotlib
import mmcv
import numpy as np
from mmcv import Config

from ssod.apis import detect, init_detector, load_config
from ssod.apis.runs import ROOT, StopRequest, read_log, run_script, run_training
from ssod.core.errors import InputError
from ssod.core.screen import screen
from ssod.segmentation.pictures import colored, colors_of

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402  after the choice of a backend without a screen

NAME = 'deeplabv3plus_r18_shapes'
CONFIG = ROOT / f'configs/segmentation/simple_baseline/{NAME}.py'
TEACHER = ROOT / f'configs/segmentation/supervised/{NAME}.py'
# Row of the table: the folder of its run and the metric in that run's log.
ROWS = {
    'supervised baseline': ('teacher', 'student_mIoU'),
    'its moving average': ('teacher', 'teacher_mIoU'),
    'Simple Baseline, student': ('round1_student', 'student_mIoU'),
    'Simple Baseline, average': ('round1_student', 'teacher_mIoU'),
}


def run(args: argparse.Namespace) -> None:
    """Generate, train, label, train, show.

    Args:
        args: the command line of train_demo.py.
    """
    start, out = time.time(), args.out / 'segmentation'
    if args.fresh:
        shutil.rmtree(out, ignore_errors=True)
    data = args.out / 'data_maps'
    if not (data / 'annotations/instances_val.json').is_file():  # its last file
        run_script(ROOT / 'tools/dataset/make_shapes.py', data, '--with-masks')
    options = {'data_root': f'{data.absolute()}/', **args.cfg_options}
    with StopRequest() as stop, screen():
        for seed in args.seeds:
            arguments = [CONFIG, 1, 1, '--work-dir', out / f'seed{seed}', '--seed', seed, '--cfg-options']
            arguments += [f'{key}={value}' for key, value in options.items()]
            env = dict(LABELING='--scales 0.75 1 1.25')
            command = ['bash', ROOT / 'tools/train_rounds.sh', *arguments]
            run_training(command, env, out / f'seed{seed}', f'seed {seed}', threads=1, stop=stop)
        if stop.received:
            raise InputError(StopRequest.MESSAGE)
    draw_curves(out, args.seeds[0])
    draw_maps(out, args.seeds[0], load_config(str(CONFIG), options))
    print('\n' + make_table(out, args.seeds))
    minutes = (time.time() - start) / 60
    print(f'\nTable, curves.png and maps.png are in {out}/ ({minutes:.1f} minutes)')


def make_table(out: Path, seeds: list[int]) -> str:
    """A markdown table of mIoU in points at the last evaluation, written to ``results.md``."""
    scores = {}
    for row, (run_dir, metric) in ROWS.items():
        scores[row] = [100 * read_log(out / f'seed{seed}' / run_dir)['val'][-1][metric] for seed in seeds]
    first = np.mean(scores['supervised baseline'])
    columns = [f'seed {seed}' for seed in seeds] + ['mean'] * (len(seeds) > 1) + ['gain']
    lines = ['| mIoU | ' + ' | '.join(columns) + ' |', '|---' * (len(columns) + 1) + '|']
    for row, values in scores.items():
        cells = values + [np.mean(values)] * (len(seeds) > 1)
        lines.append(
            f'| {row} | ' + ' | '.join(f'{cell:.1f}' for cell in cells) + f' | {np.mean(values) - first:+.1f} |'
        )
    (out / 'results.md').write_text('\n'.join(lines) + '\n')
    return '\n'.join(lines)


def draw_curves(out: Path, seed: int) -> None:
    """The mIoU and the losses against the iteration: ``curves.png``."""
    logs = {name: read_log(out / f'seed{seed}' / name) for name in ('teacher', 'round1_student')}
    figure, (scores, losses) = plt.subplots(1, 2, figsize=(11, 4))
    for row, (name, metric) in ROWS.items():
        entries = logs[name]['val']
        scores.plot([e['iter'] for e in entries], [100 * e[metric] for e in entries], 'o-', label=row)
    for label, name, key in (
        ('baseline', 'teacher', 'decode.loss_ce'),
        ('true labels', 'round1_student', 'sup_loss_ce'),
        ('pseudo labels', 'round1_student', 'unsup_loss_seg'),
    ):
        entries = logs[name]['train']
        losses.plot([e['iter'] for e in entries], [e[key] for e in entries], label=label)
    for axes, title in ((scores, 'mIoU'), (losses, 'loss')):
        axes.set_title(title)
        axes.set_xlabel('iteration')
        axes.legend()
    figure.tight_layout()
    figure.savefig(out / 'curves.png', dpi=100)
    plt.close(figure)


def draw_maps(out: Path, seed: int, cfg: Config, num_images: int = 6) -> None:
    """Image, true labels, the baseline's and the student's, side by side: ``maps.png``."""
    runs = {TEACHER: out / f'seed{seed}/teacher', CONFIG: out / f'seed{seed}/round1_student'}
    models = [init_detector(str(config), str(folder / 'latest.pth')) for config, folder in runs.items()]
    colors = colors_of(cfg.palette, cfg.classes)
    rows = []
    for image in sorted(Path(cfg.data_root, 'images/val').glob('*.jpg'))[:num_images]:
        truth = mmcv.imread(str(Path(cfg.data_root, 'semantic/val', f'{image.stem}.png')), flag='unchanged')
        maps = [truth, *(detect(model, str(image)) for model in models)]
        pictures = [mmcv.imread(str(image)), *(colored(one.astype(np.uint8), colors)[..., ::-1] for one in maps)]
        rows.append(np.concatenate(pictures, axis=1))
    mmcv.imwrite(np.concatenate(rows), str(out / 'maps.png'))
