"""Real runs for the tests: a tiny data set, and the tools called as a user calls them."""

import functools
import gc
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmcv import Config
from mmcv.utils import logging as mmcv_logging
from mmdet.datasets import CocoDataset

import ssod.cli
from ssod.apis.checks import run_command

ROOT = Path(__file__).resolve().parents[1]
BASELINE = str(ROOT / 'configs/demo/faster_rcnn_r18_shapes.py')
MASKS = str(ROOT / 'configs/demo/mask_rcnn_r18_shapes.py')
SOFT_TEACHER = str(ROOT / 'configs/demo/soft_teacher_r18_shapes.py')
ENV = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT), 'WANDB_MODE': 'offline'}
# The scripts call `python`: the one that runs the tests.
ENV['PATH'] = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'

# By which a training of a config that `ssod new` has written takes seconds. There are no weights to load.
QUICK = {
    'model.detector.backbone.init_cfg': None, 'runner.max_iters': 2, 'burn_in': 0, 'lr_config.warmup_iters': 1,
    'train_scale': [(64, 64), (64, 64)], 'weak_scale': [(64, 64), (64, 64)], 'test_pipeline.1.img_scale': (64, 64),
    'data.workers_per_gpu': 0, 'checkpoint_config.interval': 2, 'evaluation.interval': 2, 'log_config.interval': 1,
}  # fmt: skip


@functools.cache
def scratch() -> Path:
    """A folder for all tests of a session."""
    folder = tempfile.TemporaryDirectory(prefix='ssod_tests_')
    scratch.folder = folder  # removed when Python ends
    return Path(folder.name)


@functools.cache
def shapes() -> Path:
    """24 training images of 96 pixels, 6 of them labeled, and 8 for validation; with masks and semantic maps."""
    out = scratch() / 'shapes'
    tools = ROOT / 'tools/dataset'
    few = ['--num-train=24', '--num-val=8', '--size=96', '--with-masks']
    subprocess.run([sys.executable, tools / 'make_shapes.py', out, *few], check=True)
    ann = out / 'annotations/instances_train.json'
    subprocess.run([sys.executable, tools / 'semi_coco.py', ann, '--percent=25', '--fold=1'], check=True)
    return out


def class_names() -> list[str]:
    """The classes of `shapes`."""
    data = json.loads((shapes() / 'annotations/instances_val.json').read_text())
    return [category['name'] for category in data['categories']]


def small(**settings: object) -> list[str]:
    """--cfg-options that make a run of the demo's configs a matter of seconds."""
    defaults = {
        'data_root': f'{shapes()}/',
        'percent': 25,
        'train_scale': '[(96,80),(96,96)]',
        'test_pipeline.1.img_scale': '(96,96)',
        'data.samples_per_gpu': 4,
        'data.workers_per_gpu': 0,
        'runner.max_iters': 8,
        'checkpoint_config.interval': 4,
        'evaluation.interval': 8,
        'log_config.interval': 2,
    }
    defaults.update({key.replace('__', '.'): value for key, value in settings.items()})
    return ['--cfg-options', *(f'{key}={value}' for key, value in defaults.items())]


def taught(**settings: object) -> list[str]:
    """`small`, and unlabeled images from the third iteration on; pictures of pseudo boxes every fourth."""
    weight = hook_of('UnsupWeightHook')
    hooks = {f'{weight}.burn_in': 2, f'{weight}.ramp': 0, f'{hook_of("PseudoBoxImageHook")}.interval': 4}
    return small(**{**hooks, **settings})


@functools.cache
def hook_of(kind: str, config: str = SOFT_TEACHER) -> str:
    """The place of a hook in a config, for ``--cfg-options``: 'custom_hooks.0'."""
    kinds = [hook.type for hook in Config.fromfile(config).custom_hooks]
    return f'custom_hooks.{kinds.index(kind)}'


def call(script: str, *argv: object) -> None:
    """Call a script's ``main`` in this process; leaves its loggers as a new process has them."""
    spec = importlib.util.spec_from_file_location(Path(script).stem + '_script', ROOT / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    call_main(module.main, script, *argv)


def call_ssod(name: str, *argv: object) -> None:
    """The same for `ssod NAME ...`."""
    call_main(ssod.cli.COMMANDS[name], f'ssod {name}', *argv)


def call_main(main: Callable[[], None], *argv: object) -> None:
    """Call a ``main`` that reads ``sys.argv``."""
    forget_loggers()  # of tests before
    before = sys.argv
    sys.argv = list(map(str, argv))
    try:
        # Laying out a config's text and asking compilers for their versions takes seconds.
        with (
            mock.patch('mmcv.utils.config.FormatCode', lambda text, **_: (text, True)),
            mock.patch('ssod.cli.training.collect_env', dict),
        ):
            run_command(main)
    finally:
        sys.argv = before
        forget_loggers()
        gc.collect()  # the model is in a cycle, and few objects are made before the next: it would stay for long


def forget_loggers() -> None:
    """Leave no logger of mmcv behind: one that is there gets no file of its own."""
    for name in list(mmcv_logging.logger_initialized):
        logger = mmcv_logging.get_logger(name)
        for handler in list(logger.handlers):
            handler.close()
            logger.removeHandler(handler)
    mmcv_logging.logger_initialized.clear()


def refusal(script: str, *argv: object) -> str:
    """The sentence with which a script refuses its input."""
    with pytest.raises(SystemExit) as stop:
        call(script, *argv)
    assert str(stop.value.code).startswith('error: '), stop.value.code
    assert '\n' not in stop.value.code
    return stop.value.code


def shell(*command: object, **env: str) -> subprocess.CompletedProcess:
    """Run a command from the root of the repository; its output is text."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**ENV, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )


@functools.cache
def trained() -> Path:
    """Work dir of Soft Teacher after 8 iterations, seed 0."""
    work_dir = scratch() / 'soft_teacher'
    call('tools/train.py', SOFT_TEACHER, '--work-dir', work_dir, '--seed', 0, *taught())
    return work_dir


@functools.cache
def trained_baseline() -> Path:
    """Work dir of the baseline after 2 iterations."""
    work_dir = scratch() / 'baseline'
    options = small(runner__max_iters=2, checkpoint_config__interval=2)
    call('tools/train.py', BASELINE, '--work-dir', work_dir, '--seed', 0, '--no-validate', *options)
    return work_dir


@functools.cache
def trained_masks() -> Path:
    """Work dir of the baseline with masks after 4 iterations, evaluated."""
    work_dir = scratch() / 'masks'
    options = small(runner__max_iters=4, checkpoint_config__interval=4, evaluation__interval=4)
    call('tools/train.py', MASKS, '--work-dir', work_dir, '--seed', 0, *options)
    return work_dir


@functools.cache
def coco() -> Path:
    """The shapes in COCO's layout and under the names of COCO's 80 classes; 2 of 24 training images labeled.

    With masks, and semantic maps in the place of COCO-stuff's.
    """
    root = scratch() / 'coco'
    ann = root / 'annotations'
    ann.mkdir(parents=True)
    (root / 'train2017').symlink_to(shapes() / 'images/train')
    (root / 'unlabeled2017').symlink_to(shapes() / 'images/train')
    (root / 'val2017').symlink_to(shapes() / 'images/val')
    (root / 'stuffthingmaps').mkdir()
    (root / 'stuffthingmaps/train2017').symlink_to(shapes() / 'semantic/train')
    categories = [{'id': i, 'name': name} for i, name in enumerate(CocoDataset.CLASSES, 1)]
    for split in ('train', 'val'):
        data = json.loads((shapes() / f'annotations/instances_{split}.json').read_text())
        (ann / f'instances_{split}2017.json').write_text(json.dumps({**data, 'categories': categories}))
    unlabeled = {**data, 'categories': categories, 'annotations': []}
    unlabeled['images'] = json.loads((ann / 'instances_train2017.json').read_text())['images']
    (ann / 'instances_unlabeled2017.json').write_text(json.dumps(unlabeled))
    split = [sys.executable, ROOT / 'tools/dataset/semi_coco.py', ann / 'instances_train2017.json']
    subprocess.run([*split, '--percent=10', '--fold=1'], check=True)
    return root


def weights(work_dir: Path, iteration: int) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint."""
    return torch.load(work_dir / f'iter_{iteration}.pth')['state_dict']


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """Assert bit-identical weights."""
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
