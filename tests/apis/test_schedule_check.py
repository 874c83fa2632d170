"""A schedule whose parts come after the end of the run, or within a step, is refused."""

import pytest
from mmcv import Config

from ssod.apis import InputError
from ssod.apis.schedule_check import check_schedule, cumulative_iters


def config(max_iters=100, burn_in=None, ramp=0, **settings):
    hooks = [] if burn_in is None else [dict(type='Other'), dict(type='UnsupWeightHook', burn_in=burn_in, ramp=ramp)]
    defaults = dict(optimizer_config={}, checkpoint_config=dict(interval=20), evaluation=dict(interval=20))
    return Config(dict(runner=dict(max_iters=max_iters), custom_hooks=hooks, **{**defaults, **settings}))


@pytest.mark.parametrize(
    'cfg, sentence',
    [
        (config(burn_in=100), 'the burn-in of 100 iterations is longer than the run .*max_iters=100.* to 33 or so'),
        (config(burn_in=800), 'no unlabeled image would be used: set UnsupWeightHook.burn_in in custom_hooks'),
        (config(burn_in=60, ramp=41), 'never have its full weight: set UnsupWeightHook.ramp in custom_hooks to 40 or'),
        (config(evaluation=dict(interval=20, patience=4)), 'patience=4 x evaluation.interval=20 .* stop nothing'),
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


@pytest.mark.parametrize(
    'cfg',
    [
        config(),
        config(burn_in=99),
        config(burn_in=60, ramp=40),
        config(evaluation=dict(interval=20, patience=3)),
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
