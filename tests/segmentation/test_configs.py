"""The configs of segmentation: short lab notes, what they build, and that each trains."""

import functools
import math
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmcv import imwrite
from runs import ROOT, scratch

from ssod.apis import load_config, train_detector
from ssod.core.task import task_of

LEAVES = sorted((ROOT / 'configs/segmentation').glob('*/*.py'))
NAMES = [f'{path.parent.name}/{path.stem}' for path in LEAVES]


@pytest.mark.parametrize('path', LEAVES, ids=NAMES)
def test_a_leaf_is_a_short_lab_note_and_builds_its_method(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith('# ') and len(lines) <= 30
    assert any(line.startswith('#   ') for line in lines) and any('GPU' in line or 'CPU' in line for line in lines)
    cfg = load_config(str(path))
    assert '${' not in str(cfg._cfg_dict)
    assert cfg.work_dir.startswith('work_dirs/')
    with torch.device('meta'):  # no memory, no draws
        model = task_of(cfg).build_model(cfg.model)
    assert model.num_classes == len(cfg.classes)
    supervised = path.parent.name == 'supervised'
    assert (cfg.data.train.type == 'SemiDataset') != supervised
    if not supervised:
        assert cfg.data.samples_per_gpu == 2 * (2 if path.stem.endswith(('voc', 'cityscapes')) else 4)
        assert tuple(cfg.data.sampler.ratio) == (1, 1) and not cfg.data.sampler.by_prob


@functools.cache
def data(name: str) -> Path:
    """A dozen images of 64 x 64 pixels in the layout of a data set."""
    root = scratch() / f'tiny_{name}'
    rng = np.random.default_rng(0)
    for split in ('train', 'val', 'unlabeled'):
        for i in range(12):
            stem, maps = f'{split}_{i:02d}', 'semantic' if name == 'shapes' else 'labels'
            image, label = {
                'voc': (f'JPEGImages/{stem}.jpg', f'SegmentationClassAug/{stem}.png'),
                'cityscapes': (
                    f'leftImg8bit/{split}/city/{stem}_leftImg8bit.png',
                    f'gtFine/{split}/city/{stem}_gtFine_labelTrainIds.png',
                ),
            }.get(name, (f'images/{split}/{stem}.jpg', f'{maps}/{split}/{stem}.png'))
            imwrite(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), str(root / image))
            imwrite(rng.integers(0, 2, (64, 64), dtype=np.uint8), str(root / label))
            below = f'city/{stem}.png' if name == 'cityscapes' else f'{stem}.png'
            imwrite(rng.integers(0, 2, (64, 64), dtype=np.uint8), str(root / 'pseudo' / below))
    lists = root / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'trainaug.txt').write_text('\n'.join(f'train_{i:02d}' for i in range(12)))
    (lists / 'val.txt').write_text('val_00')
    return root


@pytest.mark.long
@pytest.mark.parametrize('path', LEAVES, ids=NAMES)
def test_every_config_trains_two_iterations(path, tmp_path):
    name = re.split('_(?:v2|r18|r50|r101|xception65)_', path.stem)[-1]
    options = {
        'data_root': f'{data(name)}/', 'crop_size': (48, 48), 'data.workers_per_gpu': 0, 'data.samples_per_gpu': 4,
        'runner.max_iters': 2, 'log_config': dict(interval=1, hooks=[]), 'checkpoint_config.save_last': False,
        'model.segmentor.backbone.init_cfg': None,
    }  # fmt: skip
    if '_r50_' in path.stem or '_r101_' in path.stem:
        options |= {'model.segmentor.backbone.depth': 18, 'model.segmentor.backbone.multi_grid': (1, 2)}
        options |= {'model.segmentor.decode_head.in_channels': 512, 'model.segmentor.decode_head.c1_in_channels': 64}
    if path.stem.endswith('shapes'):
        options |= {'every': 4, 'lr_config.warmup_iters': 1}
    elif name != 'own_folder':
        options['every'] = 4
    if path.parent.name == 'simple_baseline':
        options['pseudo_maps'] = str(data(name) / 'pseudo')
    cfg = load_config(str(path), options, str(tmp_path))
    cfg.pop('evaluation')
    with (
        mock.patch('mmcv.utils.config.FormatCode', lambda text, **_: (text, True)),
        mock.patch('mmcv.runner.iter_based_runner.time.sleep'),
    ):
        runner = train_detector(cfg, seed=0)
    loss = runner.outputs['log_vars']['loss']
    assert runner.iter == 2 and math.isfinite(loss) and loss > 0
    unsup = [value for key, value in runner.outputs['log_vars'].items() if key == 'unsup_loss_seg']
    assert not unsup or unsup[0] >= 0
