"""Presets: which machine gets which, and that each is a training of configs/small_data."""

import pytest
from runs import ROOT

from ssod.apis import load_config
from ssod.apis.presets import GIB, PRESETS, estimated_bytes, preset_for
from ssod.apis.recipe import images_per_iteration

CONFIGS = {
    'mobilenet_v2': 'configs/small_data/soft_teacher_faster_rcnn_mobilenet_v2_fpn.py',
    'resnet50': 'configs/small_data/soft_teacher_faster_rcnn_r50_fpn.py',
}


@pytest.mark.parametrize(
    'memory, name',
    [
        (None, 'CPU'),
        (4 * GIB, 'CPU'),
        (int(7.6 * GIB), '8 GB GPU'),
        (11 * GIB, '8 GB GPU'),
        (int(11.9 * GIB), '12 GB GPU'),
        (16 * GIB, '12 GB GPU'),
        (int(23.6 * GIB), '24 GB GPU'),
        (48 * GIB, '24 GB GPU'),
        (int(79.2 * GIB), '80 GB GPU'),
        (140 * GIB, '80 GB GPU'),
    ],
)
def test_a_device_gets_the_largest_preset_that_it_has_memory_for(memory, name):
    assert preset_for(memory).name == name


@pytest.mark.parametrize('preset', PRESETS, ids=lambda preset: preset.name)
def test_a_preset_is_a_config_whose_batches_hold_both_sources_exactly(preset):
    options = {
        'data.samples_per_gpu': preset.samples_per_gpu,
        'data.workers_per_gpu': preset.workers,
        'data.sampler.ratio': preset.ratio,
        'optimizer_config.cumulative_iters': preset.cumulative_iters,
    }
    cfg = load_config(str(ROOT / CONFIGS[preset.backbone]), options)
    assert cfg.data.sampler.by_prob is False
    images = images_per_iteration(cfg, 1)
    assert images.labeled / images.unlabeled == preset.ratio[0] / preset.ratio[1]
    assert sum(images) == preset.samples_per_gpu and min(images) >= 1


def test_a_cpu_takes_two_of_each_without_half_precision():
    cpu = preset_for(None)
    assert (cpu.samples_per_gpu, cpu.ratio, cpu.cumulative_iters, cpu.fp16) == (4, (1, 1), 1, False)
    assert cpu.backbone == 'mobilenet_v2'


@pytest.mark.parametrize('preset', PRESETS[1:], ids=lambda preset: preset.name)
def test_by_arithmetic_a_gpu_has_a_fifth_to_spare(preset):
    assert 0.15 * preset.memory < estimated_bytes(preset) < 0.8 * preset.memory


def test_the_estimate_by_hand():
    """8 images of 800 x 600: 0.9 kB a pixel, 98 MiB of RoIs each, 0.82 GB of weights, CUDA's GiB."""
    expected = 8 * (480_000 * 900 + 102_760_448) + 820_000_000 + GIB
    assert estimated_bytes(PRESETS[2]) == expected


def test_the_pages_table_is_the_presets():
    text = (ROOT / 'docs/hardware.md').read_text(encoding='utf-8')
    for preset in PRESETS:
        labeled = preset.samples_per_gpu * preset.ratio[0] // sum(preset.ratio)
        name = preset.name.removesuffix(' GPU') + (', small GPU' if preset.memory == 0 else '')
        detector = {'mobilenet_v2': 'MobileNetV2', 'resnet50': 'ResNet-50'}[preset.backbone]
        size = '{} x {}'.format(*preset.max_scale)
        half = 'yes' if preset.fp16 else 'no'
        images = f'{labeled} + {preset.samples_per_gpu - labeled}'
        assert f'| {name} | {detector} | {images} | {preset.cumulative_iters} | {size} | {half} |' in text
