"""A schedule whose parts come after the end of the run, or within a step, is refused."""

import pytest
from mmcv import Config
from runs import SOFT_TEACHER

from ssod.apis import InputError, load_config
from ssod.apis.schedule_check import check_schedule, cumulative_iters


def config(max_iters=100, burn_in=None, ramp=0, **settings):
    hooks = [] if burn_in is None else [dict(type='Other'), dict(type='UnsupWeightHook', burn_in=burn_in, ramp=ramp)]
    defaults = dict(optimizer_config={}, checkpoint_config=dict(interval=20), evaluation=dict(interval=20))
    return Config(dict(runner=dict(max_iters=max_iters), custom_hooks=hooks, **{**defaults, **settings}))


@pytest.mark.parametrize(
    'cfg, sentence',
    [
        (config(burn_in=100), 'the burn-in of 100 iterations leaves nothing of the run .runner.max_iters=100.'),
        (config(burn_in=800, ramp=7), 'no unlabeled image .* --cfg-options custom_hooks.1.burn_in=33$'),
        (config(burn_in=60, ramp=41), 'full weight: .* custom_hooks.1.burn_in=33 custom_hooks.1.ramp=33$'),
        (
            config(max_iters=3, burn_in=0, ramp=9),
            'of 0 iterations and the ramp of 9 end .* custom_hooks.1.ramp=1$',
        ),
        (config(evaluation=dict(interval=20, patience=4)), 'patience=4 x evaluation.interval=20 .* stop nothing'),
        (config(burn_in=61, evaluation=dict(interval=20, patience=3)), 'burn-in of 61, .* set evaluation.patience=4$'),
        (config(evaluation=dict(interval=20, patience=0)), 'patience counts evaluations, 1 or more, got 0'),
        (config(evaluation=dict(interval=20, patience=2.5)), 'patience counts evaluations, 1 or more, got 2.5'),
        (config(evaluation=dict(interval=9, patience=2, save_best=None)), 'it needs evaluation.save_best, which is N'),
        (config(optimizer_config=dict(cumulative_iters=3)), r'checkpoint_config.interval=20 .* of 3 .*: set 21'),
        (
            config(optimizer_config=dict(cumulative_iters=4), evaluation=dict(interval=10)),
            r'evaluation.interval=10 falls into a step of 4 iterations .*: set 12',
        ),
    ],
)
def test_refused(cfg, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        check_schedule(cfg)
    assert '\n' not in str(refused.value)


def test_what_the_sentence_says_to_set_passes():
    """Of a config of ours, shortened: the one name at its top, and the hook's own."""
    for max_iters in (1, 2, 20, 401, 1100):
        options = {'runner.max_iters': max_iters, 'evaluation.interval': 1}
        cfg = load_config(SOFT_TEACHER, options)
        try:
            check_schedule(cfg)
        except InputError as refused:
            settings = str(refused).split('--cfg-options ')[1].split()
            options |= {key: int(value) for key, value in (setting.split('=') for setting in settings)}
            assert ('burn_in' in options) == (max_iters < 1100) and 'custom_hooks.0.burn_in' not in options
        check_schedule(load_config(SOFT_TEACHER, options))


@pytest.mark.parametrize(
    'cfg',
    [
        config(),
        config(burn_in=99),
        config(burn_in=60, ramp=40),
        config(evaluation=dict(interval=20, patience=3)),
        config(burn_in=60, evaluation=dict(interval=20, patience=3)),
        config(optimizer_config=dict(cumulative_iters=4)),
        config(optimizer_config=dict(cumulative_iters=4), checkpoint_config=dict(interval=-1)),
        Config(dict(runner=dict(max_iters=5))),
    ],
)
def test_what_fits_passes(cfg):
    check_schedule(cfg)


@pytest.mark.parametrize(
    'settings, expected', [({}, 1), (None, 1), (dict(cumulative_iters=8), 8), (dict(cumulative_iters='x'), 1)]
)
def test_iterations_a_step(settings, expected):
    assert cumulative_iters(Config(dict(optimizer_config=settings))) == expected
