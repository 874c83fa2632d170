"""What a run's batch is beside the one of its config: counted, scaled or said, and a line of what is effective."""

import logging

import numpy as np
import pytest
from mmcv import Config
from runs import BASELINE, ROOT, SOFT_TEACHER, small

from ssod.apis import InputError, load_config
from ssod.apis.config import Options
from ssod.apis.recipe import adapt, base_images, effective, images_per_iteration
from ssod.apis.train import build_train_dataset
from ssod.data import MultiSourceSampler
from ssod.data.sampler import mean_counts

COCO = ROOT / 'configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
LEAVES = sorted((ROOT / 'configs').glob('[!_]*/*.py'))


def said(cfg, processes=1):
    """The level and the text of what is said of a config's batch; '' if nothing is."""
    level, text = adapt(cfg, processes) or (logging.NOTSET, '')
    assert '\n' not in text
    return (logging.getLevelName(level), text) if text else ('', '')


@pytest.mark.parametrize(
    'batch, settings',
    [
        (5, dict(ratio=(1, 4))),
        (3, dict(ratio=(3, 1))),
        (2, dict(ratio=(1, 4))),
        (8, dict(ratio=(1, 1), at_least_one=False)),
        (4, dict(ratio=(1, 4), by_prob=False)),
        (5, dict(ratio=(1, 4), by_prob=False)),
        (1, dict(ratio=(1, 2), by_prob=False, at_least_one=False)),
    ],
)
def test_mean_counts_are_those_of_the_sampler(batch, settings):
    sampler = MultiSourceSampler([np.zeros(10), np.zeros(50)], batch, **settings, seed=1)
    drawn = sampler.counts(0, 12800).mean(axis=0)
    assert mean_counts(batch, **settings) == pytest.approx(drawn, abs=0.03 if settings.get('by_prob', True) else 1e-3)


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_every_config_says_the_batch_that_it_has_on_its_machine(path):
    cfg = load_config(str(path))
    processes = 8 if 'coco' in path.stem or 'ablations' in str(path) else 1
    processes *= 2 if 'swin_l' in path.stem else 1
    expected = images_per_iteration(cfg, processes)
    assert tuple(base_images(cfg)) == pytest.approx(tuple(expected), rel=0.005)
    assert said(cfg, processes) == ('', '')


def test_fewer_gpus_are_warned_of_with_the_command():
    cfg = load_config(str(COCO))
    before = cfg.pretty_text
    level, text = said(cfg, 2)
    assert level == 'WARNING' and f'`ssod train {COCO} --auto-scale`' in text
    assert 'for steps of 10.6 labeled + 29.4 unlabeled images, this run has 2.65 labeled + 7.35 unlabeled' in text
    assert '0.25 times the images a step, 3.99 times the iterations' in text
    assert cfg.pretty_text == before


def test_auto_scale_and_once_alone():
    cfg = load_config(str(COCO))
    cfg.auto_scale = True
    level, text = said(cfg, 2)
    assert level == 'INFO' and text.startswith('auto_scale: for steps of 10.6 labeled')
    assert cfg.optimizer.lr == pytest.approx(0.0025, rel=0.01) and cfg.runner.max_iters == pytest.approx(
        720000, rel=0.01
    )
    assert cfg.auto_scale is False and said(cfg, 2) == ('', '')  # a recorded config
    cfg.auto_scale = True
    lr = cfg.optimizer.lr
    said(cfg, 2)
    assert cfg.optimizer.lr == lr


def test_accumulation_makes_up_for_gpus():
    cfg = load_config(str(COCO), {'optimizer_config.cumulative_iters': 8})
    cfg.auto_scale = True
    said(cfg, 1)
    assert cfg.optimizer.lr == 0.01 and cfg.model.semi_train_cfg.ema.momentum == 0.999
    assert cfg.runner.max_iters == pytest.approx(8 * 180000, rel=0.005) and cfg.evaluation.interval % 8 == 0
    assert said(load_config(str(COCO), {'optimizer_config.cumulative_iters': 8}), 1)[0] == 'WARNING'


def test_another_ratio_alone_is_said_and_the_labeled_images_decide():
    options = {'data.samples_per_gpu': 3, 'data.sampler.ratio': (2, 1)}
    cfg = load_config(SOFT_TEACHER, {**options, 'base_batch': dict(labeled=2, unlabeled=2)})
    level, text = said(cfg)
    assert level == 'INFO' and '(x 0.5 unlabeled images for each labeled one; the labeled ones decide)' in text
    cfg.auto_scale, lr = True, cfg.optimizer.lr
    said(cfg)
    assert cfg.optimizer.lr == lr and cfg.base_batch == dict(labeled=2, unlabeled=1)


@pytest.mark.parametrize(
    'path, base, sentence',
    [
        (SOFT_TEACHER, dict(labeled=4), r'base_batch is dict\(labeled=..., unlabeled=...\).* got'),
        (SOFT_TEACHER, dict(labeled=4, unlabeled=0), 'each above 0'),
        (BASELINE, dict(labeled=4, unlabeled=4), r'base_batch is dict\(labeled=...\)'),
        (BASELINE, dict(samples=4), r'base_batch is dict\(labeled=...\)'),
    ],
)
def test_a_base_batch_that_says_nothing(path, base, sentence):
    cfg = load_config(path)
    cfg._cfg_dict.base_batch = base
    with pytest.raises(InputError, match=sentence):
        said(cfg)


def test_auto_scale_needs_the_base_and_a_truth():
    cfg = load_config(BASELINE)
    cfg.pop('base_batch')
    assert said(cfg) == ('', '')
    cfg.auto_scale = True
    with pytest.raises(InputError, match='auto_scale needs to know what lr and schedule are for: set base_batch'):
        said(cfg)
    cfg.auto_scale = dict(enable=True)
    with pytest.raises(InputError, match='auto_scale is True or False'):
        said(cfg)


def tiny(path, **settings):
    pairs = (option.split('=', maxsplit=1) for option in small(**settings)[1:])
    return load_config(path, {key: Options._parse_iterable(value) for key, value in pairs})


def test_the_line_of_what_is_effective():
    cfg = tiny(SOFT_TEACHER, burn_in=2, runner__max_iters=90, optimizer_config__cumulative_iters=2)
    assert effective(cfg, build_train_dataset(cfg), 3) == (
        'effective: 12 labeled + 12 unlabeled images per step (3 processes x 4 images x 2 iterations), AdamW lr 0.001, '
        '90 iterations = 45 steps, 90.0 epochs over 6 labeled and 30.0 over 18 unlabeled images, '
        'burn-in 2 iterations + 100 to the full weight, EMA 0.995: 200 steps'
    )


def test_the_line_of_a_baseline_and_of_a_teacher_that_stays():
    cfg = tiny(BASELINE, runner__max_iters=90)
    assert effective(cfg, build_train_dataset(cfg), 1) == (
        'effective: 4 labeled images per step (1 process x 4 images x 1 iteration), AdamW lr 0.001, 90 iterations, '
        '60.0 epochs over 6 labeled images'
    )
    cfg = tiny(SOFT_TEACHER)
    cfg.custom_hooks = [dict(type='MeanTeacherHook', momentum=1.0)]
    assert effective(cfg, build_train_dataset(cfg), 1).endswith('EMA 1: the teacher stays')


def test_a_sampler_that_does_not_fit_is_a_sentence():
    cfg = Config(dict(data=dict(samples_per_gpu=1, train=dict(type='SemiDataset'), sampler=dict(ratio=(1, 1)))))
    with pytest.raises(InputError, match='data: .*set data.samples_per_gpu to 2 or more'):
        images_per_iteration(cfg, 1)
