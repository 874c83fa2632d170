"""The config that `ssod new` writes: the small-data recipe, fitted to a data set and a machine."""

import os
from dataclasses import replace
from pathlib import Path
from pprint import pformat

from mmcv import Config

from ssod.apis.presets import Preset, preset_for
from ssod.apis.runs import ROOT
from ssod.apis.scaling import is_adaptive
from ssod.core.errors import InputError
from ssod.core.hardware import Hardware

from .fitting import LONGEST_EMA, PASSES, Schedule, fit_scale, fit_schedule
from .summary import DataSummary

# The method for each detector, and its config of configs/small_data for each backbone of a preset.
METHODS = dict.fromkeys(('retinanet', 'fcos', 'atss', 'yolox'), 'mean_teacher') | dict(faster_rcnn='soft_teacher')
TITLES = dict(soft_teacher='Soft Teacher', mean_teacher='A mean teacher')
BACKBONES = dict(mobilenet_v2='mobilenet_v2_fpn', resnet50='r50_fpn')
YOLOX_SIZES = dict(mobilenet_v2='tiny', resnet50='s')  # it has backbones of its own


def config_name(detector: str, with_masks: bool = False) -> str:
    """Name of the config's file: that of the method.

    Raises:
        InputError: no such detector, or one that has no masks.
    """
    if detector not in METHODS:
        raise InputError(f'no detector {detector!r}: take one of {", ".join(sorted(METHODS))}')
    if with_masks and detector != 'faster_rcnn':
        raise InputError(f'{detector} has no masks: take faster_rcnn, which becomes Mask R-CNN, or leave masks out')
    return f'{METHODS[detector]}.py'


def config_path(backbone: str, detector: str = 'faster_rcnn', with_masks: bool = False) -> Path:
    """The recipe's config with this detector, Faster R-CNN as Mask R-CNN if with masks, and this backbone.

    Raises:
        InputError: the installation came without configs.
    """
    sizes = YOLOX_SIZES if detector == 'yolox' else BACKBONES
    name = 'mask_rcnn' if with_masks else detector
    path = ROOT / f'configs/small_data/{METHODS[detector]}_{name}_{sizes[backbone]}.py'
    if not path.is_file():
        raise InputError(
            f'no {config_name(detector)} was written, for this installation has no configs: run `pip install -e .` in '
            'the clone of ssod, then this command with --force'
        )
    return path


def write_config(summary: DataSummary, hardware: Hardware, detector: str = 'faster_rcnn') -> str:
    """The text of a config over the recipe's, for a file in `summary.root`: each setting with its reason.

    Args:
        summary: of the data.
        hardware: what it is for.
        detector: of :data:`METHODS`.

    Raises:
        InputError: the installation came without configs.
    """
    preset = preset_for(hardware.memory if hardware.gpus else None)
    path = config_path(preset.backbone, detector, summary.with_masks)
    base = Config.fromfile(str(path), import_custom_modules=False)
    if not hardware.gpus:  # what the recipe is measured on
        ratio = tuple(base.data.sampler.ratio)
        preset = replace(preset, samples_per_gpu=base.data.samples_per_gpu, ratio=ratio)
        preset = replace(preset, cumulative_iters=base.optimizer_config.get('cumulative_iters', 1))
    schedule = fit_schedule(base, preset, summary.splits['labeled'].images)
    parts = [
        about(summary, hardware, path, METHODS[detector]),
        scales(base, *fit_scale(summary, preset.max_scale)),
        data(schedule, summary, preset, hardware),
        optimizer(base, schedule, preset.fp16),
        iterations(base, schedule, summary),
    ]
    return '\n'.join(parts)


def workers(preset: Preset, hardware: Hardware) -> int:
    """Processes that prepare images, for each that trains: one core is left to that one."""
    return max(min(preset.workers, hardware.cores // max(hardware.gpus, 1) - 1), 0)


def about(summary: DataSummary, hardware: Hardware, path: Path, method: str) -> str:
    """What the file is for, and what it is written over."""
    config = Path(summary.root, f'{method}.py')
    images = ', '.join(f'{split.images} {name}' for name, split in summary.splits.items())
    lines = [
        f'# {TITLES[method]}{" with masks" * summary.with_masks} on {summary.name} ({images} images), for {hardware}.',
        *(f'#   {command}' for command in next_commands(summary, method)),
        '# `ssod new` wrote it. Every line is yours to change; what is not here is in the file that `_base_` names.',
    ]
    if hardware.gpus > 1:
        command = f'bash tools/dist_train.sh {config} {hardware.gpus} --auto-scale'
        lines.append(f'# The numbers are for one GPU. On all {hardware.gpus}: {command}')
    return '\n'.join(
        [
            *lines,
            f'_base_ = {base_path(path, Path(summary.root))!r}',
            f'work_dir = {work_dir(summary, method)!r}',
            "data_root = '{{ fileDirname }}/'  # the folder of this file",
            '# The order is that of the annotation files. The heads take their number of classes from here.',
            f'classes = {pformat(list(summary.classes), width=110, indent=4, compact=True)}',
            '',
        ]
    )


def work_dir(summary: DataSummary, method: str) -> str:
    """Where the training's checkpoints go."""
    return f'work_dirs/{summary.name}/{method}'


def next_commands(summary: DataSummary, method: str) -> list[str]:
    """What to do with the config: train, compare, test, predict."""
    config, run = Path(summary.root, f'{method}.py'), work_dir(summary, method)
    metrics = 'bbox segm' if summary.with_masks else 'bbox'
    return [
        f'ssod train {config}',
        f'ssod compare {config}    # do the unlabeled images help?',
        f'ssod test {config} {run} --eval {metrics} --eval-on both',
        f'ssod predict {config} {run} IMAGES --out work_dirs/{summary.name}/found',
    ]


def base_path(path: Path, folder: Path) -> str:
    """`path` from `folder`, relative if both are under the working folder so that they can move together."""
    here, target = Path.cwd(), folder.absolute()
    together = path.is_relative_to(here) and target.is_relative_to(here) and target.resolve() == target
    return os.path.relpath(path, target) if together else str(path)


def scales(base: Config, scale: tuple[int, int], why: str) -> str:
    """Scales of training and test, in the proportions of the recipe's."""

    def ends(of_recipe: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [
            tuple(round(side * own / whole) for side, own, whole in zip(end, scale, base.test_scale, strict=True))
            for end in of_recipe
        ]

    pipeline = Config(dict(test_pipeline=base.test_pipeline)).pretty_text.strip()
    return '\n'.join(
        [
            '# (long, short) side in pixels that images are resized to fit in, their proportions kept.',
            f'# {scale[0]} x {scale[1]} is {why}.',
            f'test_scale = {scale}',
            f'train_scale = {ends(base.train_scale)}  # the short side is drawn between the two',
            f'weak_scale = {ends(base.weak_scale)}  # the same of what the teacher sees',
            pipeline.replace(f'img_scale={base.test_scale}', 'img_scale=test_scale'),
            '',
        ]
    )


def data(schedule: Schedule, summary: DataSummary, preset: Preset, hardware: Hardware) -> str:
    """Images of an iteration, loader processes, and what to test on."""
    batch = f'{schedule.labeled:g} labeled and {schedule.unlabeled:g} unlabeled images an iteration'
    lines = [
        'data = dict(',
        f'    # {batch}: {"what suits the memory of the GPU" if hardware.gpus else "as in the recipe"}.',
        f'    samples_per_gpu={schedule.samples},',
        f'    sampler=dict(ratio={preset.ratio}),',
        '    # Processes that prepare images: all cores but the one that trains, as far as they are of use.',
        f'    workers_per_gpu={workers(preset, hardware)},',
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
    how = 'the square root of that' if is_adaptive(base.optimizer.type) else 'them'
    lines = [
        f'# For {images} images a step: the recipe has {base.optimizer.lr:g} for {per_step}, and lr grows with {how}.',
        f'optimizer = dict(lr={schedule.lr:g})',
        '# Images of a step that lr and schedule are for; for another batch say --auto-scale.',
        f'base_batch = dict(labeled={schedule.labeled * schedule.cumulative:g}, '
        f'unlabeled={schedule.unlabeled * schedule.cumulative:g})',
    ]
    if schedule.cumulative > 1:
        lines += [
            '# The optimizer moves once in so many iterations: a larger batch in the same memory.',
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
    others = (total - schedule.burn_in) * schedule.unlabeled / unlabeled.images
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
            f'# The teacher averages the last {1 / (1 - schedule.momentum):.0f} steps, '
            f'{100 * LONGEST_EMA:.0f} % of all at most: older students know less.',
            f'model = dict(semi_train_cfg=dict(ema=dict(momentum={schedule.momentum})))',
            '',
        ]
    )
