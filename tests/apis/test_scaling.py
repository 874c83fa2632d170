"""lr and schedule for another batch: as many images are seen, and the teacher looks as many images back."""

import math

import pytest
from mmcv import Config, ConfigDict

from ssod.apis import InputError
from ssod.apis.scaling import Factors, check_scalable, lr_factor, scale, scale_count
from ssod.core import EMA
from ssod.detection import PseudoBoxImageHook, PseudoBoxWarningHook
from ssod.hooks import UnsupWeightHook


def config(**settings):
    defaults = dict(
        optimizer=dict(type='SGD', lr=0.01),
        lr_config=dict(policy='step', step=[1200, 1600], warmup='linear', warmup_iters=50, warmup_ratio=0.001),
        runner=dict(type='IterBasedRunner', max_iters=1800),
        checkpoint_config=dict(interval=400, max_keep_ckpts=5),
        evaluation=dict(interval=400, metric='bbox'),
        custom_hooks=[
            dict(type='UnsupWeightHook', burn_in=300, ramp=100),
            dict(type='PseudoBoxWarningHook', patience=200),
            dict(type='PseudoBoxImageHook', interval=200),
        ],
        data=dict(sampler=dict(ratio=(1, 4), decay=dict(iters=100, max_iters=1800))),
        model=dict(semi_train_cfg=dict(ema=dict(momentum=0.999, warm_up=10))),
    )
    return Config({**defaults, **settings})


def test_a_fourth_of_the_images_takes_four_times_the_iterations():
    cfg = config()
    scale(cfg, Factors(0.25, 0.25))
    assert cfg.optimizer.lr == 0.0025
    assert cfg.lr_config == dict(
        policy='step', step=[4800, 6400], warmup='linear', warmup_iters=200, warmup_ratio=0.001
    )
    assert cfg.runner.max_iters == 7200 and cfg.checkpoint_config == dict(interval=1600, max_keep_ckpts=5)
    assert cfg.evaluation == dict(interval=1600, metric='bbox')
    assert [list(hook.values())[1:] for hook in cfg.custom_hooks] == [[1200, 400], [800], [800]]
    assert cfg.data.sampler.decay == dict(iters=400, max_iters=7200)
    ema = cfg.model.semi_train_cfg.ema
    assert ema.momentum**4 == pytest.approx(0.999) and ema.warm_up == 40
    EMA(**ema)


def test_accumulated_over_four_iterations_lr_and_teacher_stay():
    """A step has the images of the config's, an iteration a fourth of them."""
    cfg = config()
    scale(cfg, Factors(1.0, 0.25), cumulative_iters=4)
    assert cfg.optimizer.lr == 0.01 and cfg.model.semi_train_cfg.ema == dict(momentum=0.999, warm_up=10)
    assert cfg.runner.max_iters == 7200 and cfg.custom_hooks[0].burn_in == 1200


def test_numbers_are_whole_steps():
    assert scale_count(1000, 0.3, 1) == 3333 and scale_count(1000, 0.3, 4) == 3332
    assert scale_count([10, 3], 8, 1) == [1, 1] and scale_count(1, 8, 4) == 4
    assert scale_count(0, 2, 4) == 0 and scale_count(-1, 2, 4) == -1
    cfg = config()
    scale(cfg, Factors(3.0, 0.43), cumulative_iters=7)
    assert all(count % 7 == 0 for count in (cfg.runner.max_iters, *cfg.lr_config.step, cfg.evaluation.interval))


@pytest.mark.parametrize(
    'optimizer, expected', [('SGD', 4), ('AdamW', 2), ('Adam', 2), ('NAdam', 2), ('RMSprop', 2), ('Lion', 4)]
)
def test_the_learning_rates_rule(optimizer, expected):
    assert lr_factor(optimizer, 4) == expected and lr_factor(optimizer, 1) == 1


def test_what_is_not_there_stays_away_and_the_defaults_momentum_is_written_down():
    cfg = Config(
        dict(
            optimizer=dict(type='AdamW', lr=0.001),
            lr_config=dict(policy='CosineAnnealing', min_lr=1e-5),
            runner=dict(max_iters=100),
            data=dict(),
            model=dict(semi_train_cfg=dict(unsup_weight=2.0)),
        )
    )
    check_scalable(cfg)
    scale(cfg, Factors(4.0, 4.0))
    assert cfg.optimizer.lr == 0.002 and cfg.lr_config.min_lr == 2e-5 and cfg.runner.max_iters == 25
    assert cfg.model.semi_train_cfg.ema.momentum == pytest.approx(EMA().momentum ** 4)
    assert cfg.keys() == {'optimizer', 'lr_config', 'runner', 'data', 'model'}


def test_the_momentum_of_a_hook_is_scaled_too():
    cfg = config(custom_hooks=[dict(type='MeanTeacherHook', momentum=0.99)], model=dict(type='X'))
    scale(cfg, Factors(0.5, 0.5))
    assert cfg.custom_hooks[0].momentum == pytest.approx(math.sqrt(0.99)) and cfg.model == dict(type='X')


@pytest.mark.parametrize('hook', [UnsupWeightHook, PseudoBoxWarningHook, PseudoBoxImageHook])
def test_iteration_settings_are_arguments(hook):
    built = hook(**dict.fromkeys(hook.iteration_settings, 7))
    assert hook.iteration_settings and all(getattr(built, name) == 7 for name in hook.iteration_settings)


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (dict(lr_config=dict(policy='OneCycle')), "the lr_config.policy step, .*, not 'OneCycle'"),
        (dict(momentum_config=dict(policy='cyclic')), 'how momentum_config scales'),
        (dict(evaluation=dict(interval=1, dynamic_intervals=[(1, 2)])), 'how evaluation.dynamic_intervals scales'),
        (dict(optimizer=dict(type='Adadelta')), 'scales optimizer.lr, which the config does not set'),
    ],
)
def test_what_nobody_knows_to_scale_is_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        check_scalable(config(**settings))
    check_scalable(config(momentum_config=None, lr_config=ConfigDict(policy='fixed')))


def test_as_text():
    assert str(Factors(1.0, 0.25)) == '1 times the images a step, 4 times the iterations'
