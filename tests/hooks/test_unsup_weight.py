"""The burn-in's schedule."""

from types import SimpleNamespace

import pytest

from ssod.hooks import UnsupWeightHook


@pytest.mark.parametrize(
    'burn_in, ramp, expected',
    [
        (0, 0, [4, 4, 4, 4, 4, 4]),
        (2, 0, [0, 0, 4, 4, 4, 4]),
        (2, 1, [0, 0, 4, 4, 4, 4]),
        (1, 4, [0, 1, 2, 3, 4, 4]),
    ],
)
def test_the_weight_is_0_then_rises_to_the_configs(fake_runner, burn_in, ramp, expected):
    model, hook = SimpleNamespace(unsup_weight=4.0), UnsupWeightHook(burn_in, ramp)
    hook.before_run(fake_runner(model))
    seen = []
    for iteration in range(6):
        hook.before_train_iter(fake_runner(model, iter=iteration))
        seen.append(model.unsup_weight)
    assert seen == expected


def test_a_resumed_run_continues_the_schedule(fake_runner):
    model, hook = SimpleNamespace(unsup_weight=4.0), UnsupWeightHook(1, 4)
    hook.before_run(fake_runner(model, iter=2))
    hook.before_train_iter(fake_runner(model, iter=2))
    assert model.unsup_weight == 2
