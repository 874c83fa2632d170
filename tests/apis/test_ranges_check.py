"""Settings outside of their ranges: each refused with its name, its value and what it may be."""

import math

import pytest
from mmcv import Config
from runs import BASELINE, SOFT_TEACHER

from ssod.apis import checks
from ssod.apis.checks import check_train_config
from ssod.apis.config import load_config
from ssod.apis.ranges_check import check_no_nan, check_ranges
from ssod.core.errors import InputError, building
from ssod.core.task import task_of
from ssod.data.sampler import mean_counts

COUNT = 'is a whole number, 1 or more, got'
NATURAL = 'is a whole number, 0 or more, got'
POSITIVE = 'is a number, 0 or more, got'
SHARE = 'is a number in [0, 1], got'
ITERATIONS = 'is a number of iterations, 1 or more, got'
SOFT = 'model.semi_train_cfg.'
TEST_CFG = 'model.detector.test_cfg.rcnn.'
TRAIN_CFG = 'model.detector.train_cfg.rpn.assigner.'
STEPS = 'lr_config.step is one or several rising numbers of iterations, got'
NAN, INF = math.nan, math.inf
CASES = [
    ('data.samples_per_gpu', 0, f'data.samples_per_gpu {COUNT} 0'),
    ('data.samples_per_gpu', -4, f'data.samples_per_gpu {COUNT} -4'),
    ('data.samples_per_gpu', 2.5, f'data.samples_per_gpu {COUNT} 2.5'),
    ('data.samples_per_gpu', '8', f"data.samples_per_gpu {COUNT} '8'"),
    ('data.samples_per_gpu', True, f'data.samples_per_gpu {COUNT} True'),
    ('data.samples_per_gpu', None, f'data.samples_per_gpu {COUNT} None'),
    ('data.workers_per_gpu', -1, f'data.workers_per_gpu {NATURAL} -1'),
    ('data.workers_per_gpu', 1.5, f'data.workers_per_gpu {NATURAL} 1.5'),
    ('data.test_samples_per_gpu', 0, f'data.test_samples_per_gpu {COUNT} 0'),
    ('data.max_image_pixels', 0, f'data.max_image_pixels {COUNT} 0'),
    ('data.max_broken_share', 2, f'data.max_broken_share {SHARE} 2'),
    ('data.max_broken_share', -0.1, f'data.max_broken_share {SHARE} -0.1'),
    ('data.sampler.ratio', (0, 1), 'ratio needs 2 positive numbers'),
    ('data.sampler.ratio', (1, -1), 'ratio needs 2 positive numbers'),
    ('data.sampler.ratio', (1, NAN), 'data.sampler.ratio.1 is nan, which is no number'),
    ('data.sampler.ratio', (1,), 'ratio needs 2 positive numbers'),
    ('runner.max_iters', 0, 'runner.max_iters must be a number of iterations, got 0'),
    ('runner.max_iters', -5, 'runner.max_iters must be a number of iterations, got -5'),
    ('runner.max_iters', 1.5, 'runner.max_iters must be a number of iterations, got 1.5'),
    ('runner.max_iters', NAN, 'runner.max_iters is nan, which is no number'),
    ('runner.max_iters', '100', "runner.max_iters must be a number of iterations, got '100'"),
    ('checkpoint_config.interval', 0, f'checkpoint_config.interval {ITERATIONS} 0'),
    ('checkpoint_config.interval', -2, f'checkpoint_config.interval {ITERATIONS} -2'),
    ('checkpoint_config.interval', 'often', f"checkpoint_config.interval {ITERATIONS} 'often'"),
    ('checkpoint_config.max_keep_ckpts', 0, 'checkpoint_config.max_keep_ckpts is a whole number, 1 or more, or -1'),
    ('evaluation.interval', 0, f'evaluation.interval {COUNT} 0'),
    ('evaluation.interval', -1, f'evaluation.interval {COUNT} -1'),
    ('evaluation.interval', 0.5, f'evaluation.interval {COUNT} 0.5'),
    ('evaluation.start', -1, f'evaluation.start {NATURAL} -1'),
    ('evaluation.patience', 0, 'evaluation.patience counts evaluations, 1 or more, got 0'),
    ('log_config.interval', 0, f'log_config.interval {COUNT} 0'),
    ('optimizer.lr', -0.1, f'optimizer.lr {POSITIVE} -0.1'),
    ('optimizer.lr', INF, f'optimizer.lr {POSITIVE} inf'),
    ('optimizer.lr', NAN, 'optimizer.lr is nan, which is no number: set a finite one'),
    ('optimizer.lr', 'high', f"optimizer.lr {POSITIVE} 'high'"),
    ('optimizer.weight_decay', -1, f'optimizer.weight_decay {POSITIVE} -1'),
    ('optimizer.momentum', 1.5, f'optimizer.momentum {SHARE} 1.5'),
    ('lr_config.warmup_iters', -1, f'lr_config.warmup_iters {NATURAL} -1'),
    ('lr_config.warmup_ratio', 0, 'lr_config.warmup_ratio is a number above 0, at most 1, got 0'),
    ('lr_config.warmup_ratio', 2, 'lr_config.warmup_ratio is a number above 0, at most 1, got 2'),
    ('lr_config.gamma', -0.1, f'lr_config.gamma {POSITIVE} -0.1'),
    ('lr_config.step', [300, 200], f'{STEPS} [300, 200]'),
    ('lr_config.step', [200, 200], f'{STEPS} [200, 200]'),
    ('lr_config.step', [-1], f'{STEPS} [-1]'),
    ('lr_config.step', 0, f'{STEPS} 0'),
    ('lr_config.step', ['x'], f"{STEPS} ['x']"),
    ('seed', -1, 'seed is a whole number from 0 to 4294967295, got -1'),
    ('seed', 2**32, 'seed is a whole number from 0 to 4294967295, got 4294967296'),
    ('seed', 'x', "seed is a whole number from 0 to 4294967295, got 'x'"),
    ('pseudo_score_thr', 1.5, f'pseudo_score_thr {SHARE} 1.5'),
    ('pseudo_score_thr', -0.5, f'pseudo_score_thr {SHARE} -0.5'),
    ('pseudo_score_thr', NAN, 'pseudo_score_thr is nan, which is no number'),
    (f'{SOFT}unsup_weight', -1, 'semi_train_cfg.unsup_weight must be a number, 0 or more, got -1'),
    (f'{SOFT}unsup_weight', INF, 'semi_train_cfg.unsup_weight must be a finite number, got inf'),
    (f'{SOFT}unsup_weight', NAN, f'{SOFT}unsup_weight is nan, which is no number'),
    (f'{SOFT}unsup_weight', 'x', "semi_train_cfg.unsup_weight must be a number, 0 or more, got 'x'"),
    (f'{SOFT}sup_weight', -1, 'semi_train_cfg.sup_weight must be a number, 0 or more, got -1'),
    (f'{SOFT}candidate_score_thr', 2, 'semi_train_cfg.candidate_score_thr is in [0, 1], got 2'),
    (f'{SOFT}candidate_score_thr', 'x', "semi_train_cfg.candidate_score_thr is in [0, 1], got 'x'"),
    (f'{SOFT}ema.momentum', -0.1, 'ema.momentum must be in [0, 1], got -0.1'),
    (f'{SOFT}ema.momentum', 1.1, 'ema.momentum must be in [0, 1], got 1.1'),
    (f'{SOFT}ema.momentum', 0.001, 'write 0.999'),
    (f'{SOFT}ema.interval', 0, 'ema.interval must be at least 1, got 0'),
    (f'{SOFT}ema.warm_up', -1, 'ema.warm_up must be 0 or more, got -1'),
    (f'{SOFT}cls_filter', dict(type='ScoreFilter', thr=-1), 'ScoreFilter: thr is a score in [0, 1], got -1'),
    (f'{SOFT}reg_filter', dict(type='JitterVarianceFilter', num_jitters=1), 'num_jitters of at least 2, got 1'),
    (f'{SOFT}reg_filter', dict(type='JitterVarianceFilter', thr=-1), 'thr is a variance, 0 or more, got -1'),
    (f'{SOFT}reg_filter', dict(type='JitterVarianceFilter', jitter_scale=-1), 'jitter_scale is a share above 0'),
    (f'{SOFT}typo', 1, 'semi_train_cfg has no key'),
    (f'{TEST_CFG}score_thr', 1.5, f'{TEST_CFG}score_thr {SHARE} 1.5'),
    (f'{TEST_CFG}score_thr', -1, f'{TEST_CFG}score_thr {SHARE} -1'),
    (f'{TEST_CFG}score_thr', '0.5', f"{TEST_CFG}score_thr {SHARE} '0.5'"),
    (f'{TEST_CFG}nms.iou_threshold', 5, f'{TEST_CFG}nms.iou_threshold {SHARE} 5'),
    (f'{TRAIN_CFG}pos_iou_thr', -0.7, f'{TRAIN_CFG}pos_iou_thr {SHARE} -0.7'),
    ('custom_hooks.0.burn_in', -1, f'custom_hooks.0.burn_in {NATURAL} -1'),
    ('custom_hooks.0.burn_in', 1.5, f'custom_hooks.0.burn_in {NATURAL} 1.5'),
    ('custom_hooks.0.ramp', -1, f'custom_hooks.0.ramp {NATURAL} -1'),
]  # fmt: skip


@pytest.fixture(scope='module')
def cfg():
    return load_config(SOFT_TEACHER)


def changed(cfg, place, value):
    """A copy with one setting changed, whatever kind the value is of."""
    cfg = Config(cfg._cfg_dict.to_dict())
    *path, last = place.split('.')
    section = cfg._cfg_dict
    for key in path:
        section = section[int(key)] if key.isdigit() else section.setdefault(key, {})
    section[last] = value
    return cfg


@pytest.mark.parametrize('place, value, sentence', CASES, ids=[f'{place}={value}' for place, value, _ in CASES])
def test_it_is_refused(cfg, place, value, sentence, monkeypatch):
    monkeypatch.setattr(checks, 'check_paths', lambda place, data: None)  # no data here
    wrong = changed(cfg, place, value)
    with pytest.raises(InputError) as refused:
        check_no_nan(wrong)  # as load_config does
        check_train_config(wrong)
        with building('model'):  # the settings of a method are refused by the method
            task_of(wrong).build_model(wrong.model)
        with building('data'):
            mean_counts(wrong.data.samples_per_gpu, **wrong.data.sampler)
    assert sentence in str(refused.value) and '\n' not in str(refused.value)


@pytest.mark.parametrize(
    'place, value',
    [
        ('data.workers_per_gpu', 0), ('checkpoint_config.interval', -1), ('checkpoint_config.max_keep_ckpts', -1),
        ('optimizer.lr', 0), ('optimizer.lr', 1), ('optimizer.momentum', 0), ('lr_config.step', 8),
        ('lr_config.warmup_ratio', 1), ('seed', 0), ('seed', None), ('data.max_broken_share', 0),
        ('pseudo_score_thr', 1), (f'{TEST_CFG}score_thr', 0), ('evaluation.start', None), ('lr_config.step', [8, 11]),
    ],
)  # fmt: skip
def test_the_ends_of_the_ranges_are_taken(cfg, place, value):
    check_ranges(changed(cfg, place, value))


@pytest.mark.parametrize('config', [BASELINE, SOFT_TEACHER])
def test_our_configs_are_taken(config):
    cfg = load_config(config)
    check_no_nan(cfg)
    check_ranges(cfg)


def test_infinity_may_be_a_size():
    check_no_nan(Config(dict(data=dict(scale=(INF, 800)))))
