"""Real runs on label maps for the tests: the demo's configs on tiny generated images."""

import functools
from pathlib import Path

from runs import ROOT, call, scratch, shapes

CONFIGS = ROOT / 'configs/segmentation'
SUPERVISED = str(CONFIGS / 'supervised/deeplabv3plus_r18_shapes.py')
SIMPLE_BASELINE = str(CONFIGS / 'simple_baseline/deeplabv3plus_r18_shapes.py')


def options(**settings: object) -> list[str]:
    """--cfg-options that make a run of the demo's configs a matter of seconds: 6 labeled images, 18 others."""
    defaults = {
        'data_root': f'{shapes()}/',
        'every': 4,
        'crop_size': '(64,64)',
        'data.samples_per_gpu': 4,
        'data.workers_per_gpu': 0,
        'runner.max_iters': 6,
        'lr_config.warmup_iters': 2,
        'checkpoint_config.interval': 3,
        'evaluation.interval': 6,
        'log_config.interval': 2,
    }
    defaults.update({key.replace('__', '.'): value for key, value in settings.items()})
    return ['--cfg-options', *(f'{key}={value}' for key, value in defaults.items())]


@functools.cache
def supervised() -> Path:
    """Work dir of the supervised baseline after 6 iterations, seed 0."""
    work_dir = scratch() / 'segmentation_supervised'
    call('tools/train.py', SUPERVISED, '--work-dir', work_dir, '--seed', 0, *options())
    return work_dir
