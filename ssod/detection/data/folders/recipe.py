"""The small-data recipe, fitted to a data set and a machine: what `ssod new` writes as a config."""

import os
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat

from mmcv import Config

from ssod.apis.runs import ROOT
from ssod.core.errors import InputError
from ssod.core.hardware import Hardware

from .presets import Preset, preset_for
from .summary import LARGEST_SCALE, QUANTILES, VANISHING, DataSummary

CONFIG = 'soft_teacher.py'
# Looks at each labeled image, at least: as many as MMDetection's schedule `2x` has of COCO's.
PASSES = 24
# The teacher averages over this share of the iterations at most, or it is a student of long ago.
LONGEST_EMA = 0.1


@dataclass(frozen=True)
class Schedule:
    """Numbers of a training, scaled from those of the recipe's config.

    Attributes:
        samples: images of an iteration; `labeled` of them have labels, on average.
        cumulative: iterations of a step of the optimizer.
        lr: learning rate.
        iterations: of the whole training.
        burn_in: iterations before unlabeled images count.
        steps: iterations at which the learning rate falls; none if the recipe's falls otherwise.
        evaluations, checkpoints: iterations from one to the next.
        momentum: of the teacher's average.
    """

    samples: int
    labeled: float
    cumulative: int
    lr: float
    iterations: int
    burn_in: int
    steps: list[int]
    evaluations: int
    checkpoints: int
    momentum: float


def config_path(backbone: str) -> Path:
    """The recipe's config with this backbone.

    Raises:
        InputError: the installation came without configs.
    """
    path = ROOT / f'configs/small_data/soft_teacher_faster_rcnn_{backbone}_fpn.py'
    if not path.is_file():
        raise InputError(
            f'no {CONFIG} was written, for this installation has no configs: run `pip install -e .` in the clone of '
            'ssod, then this command with --force'
        )
    return path


def fit_schedule(base: Config, preset: Preset, labeled: int) -> Schedule:
    """The recipe's numbers for another batch and another number of labeled images.

    The learning rate is proportional to the images of a step. The number of images looked at stays, unless labeled
    images would be seen less than `PASSES` times. Shares of the training stay.

    Args:
        base: the recipe's config.
        preset: what the device has room for.
        labeled: number of labeled images.
    """
    ratio, per_iteration = base.data.sampler.ratio, base.data.samples_per_gpu
    samples = preset.samples_per_gpu or per_iteration
    of_labeled = samples * ratio[0] / sum(ratio)
    per_step = per_iteration * base.optimizer_config.get('cumulative_iters', 1)
    wanted = max(base.runner.max_iters * per_iteration / samples, PASSES * labeled / of_labeled)
    rounds = max(round(base.runner.max_iters / base.evaluation.interval), 1)
    evaluations = -int(-wanted // (10 * rounds)) * 10  # rounded up to tens; the last one ends the training
    growth = rounds * evaluations / base.runner.max_iters
    average = 1 / (1 - base.model.semi_train_cfg.ema.momentum)
    average = min(average * growth, LONGEST_EMA * rounds * evaluations)
    return Schedule(
        samples=samples,
        labeled=of_labeled,
        cumulative=preset.cumulative_iters,
        lr=float(f'{base.optimizer.lr * samples * preset.cumulative_iters / per_step:.3g}'),
        iterations=rounds * evaluations,
        burn_in=round(base.burn_in * growth),
        steps=[round(step * growth) for step in base.lr_config.get('step', [])],
        evaluations=evaluations,
        checkpoints=round(base.checkpoint_config.interval * growth),
        momentum=round(1 - 1 / average, 4),
    )


def fit_scale(summary: DataSummary, most: tuple[int, int]) -> tuple[tuple[int, int], str]:
    """(long, short) side in pixels to resize to, and why.

    Args:
        summary: of the data.
        most: the largest that the device should be given; exceeded where many boxes would vanish.
    """
    long, short = summary.scale
    factor = min(1, most[0] / long, most[1] / short)
    if factor == 1:
        full = f'{LARGEST_SCALE[0]} x {LARGEST_SCALE[1]}'
        return (long, short), f'the median of your images, {full} at most: no detail is lost'
    shares = summary.splits['labeled'].box_share
    needed = VANISHING / shares[0] / long if shares else 0
    scale = round(long * factor), round(short * factor)
    why = f'what this machine trains in reasonable time; the median of your images is {long} x {short}'
    if needed <= factor:
        return scale, why
    raised = min(needed, 1)
    return (round(long * raised), round(short * raised)), (
        f'more than the {scale[0]} x {scale[1]} that suit this machine: at those {100 * QUANTILES[0]:.0f} % of '
        f'your boxes or more are under {VANISHING} pixels'
    )


def write_config(summary: DataSummary, hardware: Hardware) -> str:
    """The text of a config over the recipe's, for a file in `summary.root`: each setting with its reason.

    Raises:
        InputError: the installation came without configs.
    """
    preset = preset_for(hardware.memory if hardware.gpus else None)
    path = config_path(preset.backbone)
    base = Config.fromfile(str(path), import_custom_modules=False)
    schedule = fit_schedule(base, preset, summary.splits['labeled'].images)
    parts = [
        about(summary, hardware, path),
        scales(base, *fit_scale(summary, preset.max_scale)),
        data(base, schedule, summary, workers(base, preset, hardware)),
        optimizer(base, schedule, preset.fp16),
        iterations(base, schedule, summary),
    ]
    return '\n'.join(parts)


def workers(base: Config, preset: Preset, hardware: Hardware) -> int:
    """Processes that prepare images, for each that trains: one core is left to that one."""
    wanted = base.data.workers_per_gpu if preset.workers is None else preset.workers
    return max(min(wanted, hardware.cores // max(hardware.gpus, 1) - 1), 0)


def about(summary: DataSummary, hardware: Hardware, path: Path) -> str:
    """What the file is for, and what it is written over."""
    config, work_dir = Path(summary.root, CONFIG), f'work_dirs/{summary.name}/soft_teacher'
    images = ', '.join(f'{split.images} {name}' for name, split in summary.splits.items())
    lines = [
        f'# Soft Teacher on {summary.name} ({images} images), for {hardware}.',
        f'#   ssod train {config}',
        f'#   ssod test {config} {work_dir}/latest.pth --eval bbox',
        '# `ssod new` wrote it. Every line is yours to change; what is not here is in the file that `_base_` names.',
    ]
    if hardware.gpus > 1:
        n = hardware.gpus
        lines += [
            f'# The numbers are for one GPU. For all {n}: bash tools/dist_train.sh {config} {n}',
            f'# with optimizer.lr times {n}, and max_iters, burn_in, step and the intervals divided by {n}.',
        ]
    return '\n'.join(
        [
            *lines,
            f'_base_ = {base_path(path, Path(summary.root))!r}',
            f'work_dir = {work_dir!r}',
            "data_root = '{{ fileDirname }}/'  # the folder of this file",
            '# The order is that of the annotation files. The heads take their number of classes from here.',
            f'classes = {pformat(list(summary.classes), width=110, indent=4, compact=True)}',
            '',
        ]
    )


def base_path(path: Path, folder: Path) -> str:
    """`path` from `folder`, relative if both are under the working folder so that they can move together."""
    here, target = Path.cwd(), folder.absolute()
    together = path.is_relative_to(here) and target.is_relative_to(here) and target.resolve() == target
    return os.path.relpath(path, target) if together else str(path)


def scales(base: Config, scale: tuple[int, int], why: str) -> str:
    """Scales of training and test, in the proportions of the recipe's."""
    proportions = [[side / whole for side, whole in zip(end, base.test_scale, strict=True)] for end in base.train_scale]
    ends = [tuple(round(part * side) for part, side in zip(end, scale, strict=True)) for end in proportions]
    pipeline = Config(dict(test_pipeline=base.test_pipeline)).pretty_text.strip()
    return '\n'.join(
        [
            '# (long, short) side in pixels that images are resized to fit in, their proportions kept.',
            f'# {scale[0]} x {scale[1]} is {why}.',
            f'test_scale = {scale}',
            f'train_scale = {ends}  # the short side is drawn between the two',
            pipeline.replace(f'img_scale={base.test_scale}', 'img_scale=test_scale'),
            '',
        ]
    )


def data(base: Config, schedule: Schedule, summary: DataSummary, workers: int) -> str:
    """Images of an iteration, loader processes, and what to test on."""
    unlabeled = schedule.samples - schedule.labeled
    as_recipe = schedule.samples == base.data.samples_per_gpu
    why = 'as in the recipe' if as_recipe else "what fits into this GPU's memory"
    lines = [
        'data = dict(',
        f'    # {schedule.labeled:g} labeled and {unlabeled:g} unlabeled images an iteration: {why}.',
        f'    samples_per_gpu={schedule.samples},',
        f'    sampler=dict(ratio={tuple(base.data.sampler.ratio)}),',
        '    # Processes that prepare images: all cores but the one that trains, as far as they are of use.',
        f'    workers_per_gpu={workers},',
        '    val=dict(pipeline=test_pipeline),',
    ]
    if 'test' in summary.splits:
        lines.append('    test=dict(pipeline=test_pipeline),')
    else:
        lines += [
            '    # There are no test images of their own: `ssod test` looks at the validation images.',
            "    test=dict(pipeline=test_pipeline, ann_file='annotations/val.json', img_prefix='images/val/'),",
        ]
    return '\n'.join([*lines, ')', ''])


def optimizer(base: Config, schedule: Schedule, fp16: bool) -> str:
    """Learning rate, accumulation, precision."""
    per_step = base.data.samples_per_gpu * base.optimizer_config.get('cumulative_iters', 1)
    images = schedule.samples * schedule.cumulative
    lines = [
        f'# For {images} images a step: the recipe has {base.optimizer.lr:g} for {per_step}, and lr grows with them.',
        f'optimizer = dict(lr={schedule.lr:g})',
    ]
    if schedule.cumulative > 1:
        lines += [
            '# Gradients are averaged over so many iterations: a batch as large as the recipe has, in less memory.',
            f'optimizer_config = dict(cumulative_iters={schedule.cumulative})',
        ]
    if fp16:
        lines += ["# Half precision saves a GPU's memory and time.", "fp16 = dict(loss_scale='dynamic')"]
    return '\n'.join([*lines, ''])


def iterations(base: Config, schedule: Schedule, summary: DataSummary) -> str:
    """Length of the training, and what happens when."""
    total, labeled, unlabeled = schedule.iterations, summary.splits['labeled'], summary.splits['unlabeled']
    seen = total * schedule.labeled / labeled.images
    recipe_takes = base.runner.max_iters * base.data.samples_per_gpu
    why = f'{PASSES} looks at each labeled image take as many'
    if abs(total * schedule.samples / recipe_takes - 1) < 0.1:
        why = f'as many images as in the recipe, {recipe_takes}'
    others = (total - schedule.burn_in) * (schedule.samples - schedule.labeled) / unlabeled.images
    steps = [
        '# When the learning rate falls to a tenth, at the same share of the training as in the recipe.',
        f'lr_config = dict(step={schedule.steps})',
    ]
    return '\n'.join(
        [
            f'# {why[0].upper() + why[1:]}. Each labeled image is seen {seen:.0f} times,',
            f'# each unlabeled one {others:.1f} times after the burn-in.',
            f'runner = dict(type={base.runner.type!r}, max_iters={total})',
            '# Before it the student learns from labeled images alone: the first pseudo boxes would mislead.',
            f'burn_in = {schedule.burn_in}',
            *(steps if schedule.steps else []),
            f'evaluation = dict(interval={schedule.evaluations})  # student and teacher, on the validation images',
            f'checkpoint_config = dict(interval={schedule.checkpoints})',
            f'# The teacher averages the last {1 / (1 - schedule.momentum):.0f} iterations, '
            f'{100 * LONGEST_EMA:.0f} % of all at most: older students know less.',
            f'model = dict(semi_train_cfg=dict(ema=dict(momentum={schedule.momentum})))',
            '',
        ]
    )
