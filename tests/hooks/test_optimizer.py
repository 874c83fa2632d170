"""The steps of mmcv's hooks, without what they leave."""

from itertools import pairwise

import pytest
import torch
from mmcv.runner import GradientCumulativeOptimizerHook, OptimizerHook
from torch import nn

from ssod.hooks import AmpOptimizerHook, ReleasingOptimizerHook, build_optimizer_hook


class Net(nn.Module):
    """A backbone, which AMP runs in half precision, and a layer after it."""

    def __init__(self):
        super().__init__()
        self.backbone, self.fc = nn.Linear(2, 2), nn.Linear(2, 1)
        for layer in (self.backbone, self.fc):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        return self.fc(self.backbone(x))


@pytest.fixture
def train(fake_runner):
    """``train(hook, batches, first_iter, max_iters)``: the runner and the weight of the backbone after each batch."""

    def run(hook, batches, first_iter=0, max_iters=None):
        model = Net()
        runner = fake_runner(
            model,
            iter=first_iter,
            max_iters=max_iters or len(batches),
            _max_iters=max_iters or len(batches),
            optimizer=torch.optim.SGD(model.parameters(), lr=2**-7, momentum=0.5),
        )
        runner.every = []
        hook.before_run(runner)
        for batch in batches:
            runner.outputs = dict(loss=model(batch).square().mean(), num_samples=len(batch))
            hook.after_train_iter(runner)
            runner.every.append(model.backbone.weight.detach().clone())
            runner.iter += 1
        return runner

    return run


@pytest.fixture
def batches():
    """Eight images, whose features bfloat16 holds exactly, two per batch."""
    return torch.tensor([[1.0, 2], [0, 1], [2, 0], [1, 1], [3, 1], [0, 2], [1, 0], [2, 2]]).split(2)


BOTH = pytest.mark.parametrize('kind', [ReleasingOptimizerHook, lambda **kw: AmpOptimizerHook('bfloat16', **kw)])


def test_steps_are_mmcvs_and_no_gradient_stays(train, batches):
    clip = dict(max_norm=0.5)
    ours, mmcvs = (train(kind(clip), batches) for kind in (ReleasingOptimizerHook, OptimizerHook))
    assert torch.equal(torch.stack(ours.every), torch.stack(mmcvs.every)) and (ours.every[0] != 1).all()
    norms = [runner.log_buffer.val_history['grad_norm'] for runner in (ours, mmcvs)]
    assert norms[0] == norms[1] and len(norms[0]) == 4
    assert all(p.grad is None for p in ours.model.parameters())
    assert all(p.grad is not None for p in mmcvs.model.parameters())


@BOTH
@pytest.mark.parametrize('clip', [None, dict(max_norm=0.5)])
def test_two_half_steps_are_the_full_step(train, batches, kind, clip):
    halves = train(kind(cumulative_iters=2, grad_clip=clip), batches)
    full = train(kind(grad_clip=clip), [torch.cat(batches[:2]), torch.cat(batches[2:])])
    assert (halves.every[0] == 1).all() and torch.equal(halves.every[1], halves.every[2])
    rounding = 1e-6 if kind is ReleasingOptimizerHook else 5e-4  # of gradients in bfloat16
    torch.testing.assert_close(halves.every[1::2], full.every, rtol=0, atol=rounding)
    assert all((b - a).abs().max() > 5e-4 for a, b in pairwise([torch.ones(2, 2), *full.every]))
    if clip:
        norms = halves.log_buffer.val_history['grad_norm']
        assert norms == pytest.approx(full.log_buffer.val_history['grad_norm'], rel=0.01) and len(norms) == 2


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('iters', [1, 2, 3, 4])
def test_accumulation_and_its_remainder_are_mmcvs(train, batches, iters):
    """Of four iterations by three, the last one steps alone and is divided by one."""
    ours = train(ReleasingOptimizerHook(dict(max_norm=0.5), cumulative_iters=iters), batches)
    mmcvs = train(GradientCumulativeOptimizerHook(iters, grad_clip=dict(max_norm=0.5)), batches)
    torch.testing.assert_close(ours.every, mmcvs.every, rtol=0, atol=1e-7)
    steps = sum(not torch.equal(a, b) for a, b in pairwise([torch.ones(2, 2), *ours.every]))
    assert steps == -(-4 // iters)
    assert all(p.grad is None for p in ours.model.parameters())


@BOTH
def test_resumed_in_the_middle_the_first_step_is_the_mean_of_what_is_left(train, batches, kind):
    resumed = train(kind(cumulative_iters=3), batches[1:3], first_iter=1, max_iters=9)
    fresh = train(kind(cumulative_iters=2), batches[1:3])
    assert torch.equal(resumed.every[1], fresh.every[1]) and (resumed.every[1] != 1).any()
    assert 'resumed 1 iterations into an accumulation of 3: the gradients of these 1 are lost' in resumed.messages[0]
    assert not [m for m in train(kind(cumulative_iters=3), batches, 3, 9).messages if 'lost' in m]


def test_a_parameter_that_the_loss_does_not_reach_is_named(fake_runner):
    model = Net()
    for hook, messages in ((ReleasingOptimizerHook(detect_anomalous_params=True), 2), (ReleasingOptimizerHook(), 0)):
        runner = fake_runner(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        runner.outputs = dict(loss=model.fc(torch.ones(1, 2)).sum(), num_samples=1)
        hook.after_train_iter(runner)
        assert len(runner.messages) == messages and all(m.startswith('backbone.') for m in runner.messages)


def test_the_config_says_which_hook():
    for kind in ('OptimizerHook', 'GradientCumulativeOptimizerHook', 'ReleasingOptimizerHook'):
        hook = build_optimizer_hook(dict(type=kind, cumulative_iters=3, grad_clip=dict(max_norm=2)), None)
        assert type(hook) is ReleasingOptimizerHook and hook.cumulative_iters == 3 and hook.grad_clip == {'max_norm': 2}
    settings = dict(cumulative_iters=3, grad_clip=dict(max_norm=2), detect_anomalous_params=True)
    hook = build_optimizer_hook(settings, dict(dtype='bfloat16', loss_scale=64.0))
    assert type(hook) is AmpOptimizerHook and hook.dtype is torch.bfloat16 and hook.loss_scale == 64
    assert {key: getattr(hook, key) for key in settings} == settings
    assert build_optimizer_hook(None, None).cumulative_iters == 1
    assert build_optimizer_hook(None, {}).dtype is torch.float16


@pytest.mark.parametrize(
    'optimizer_config, fp16, message',
    [
        (dict(type='Fp16OptimizerHook'), None, "optimizer_config.type 'Fp16OptimizerHook' is not supported: leave it"),
        (dict(cumulative_iter=2), None, "optimizer_config has no key 'cumulative_iter': did you mean cumulative_iters"),
        (dict(grad_clip=None, coalesce=True), {}, "optimizer_config has no key 'coalesce'"),
        (dict(cumulative_iters=0), {}, 'optimizer_config.cumulative_iters must be a whole number >= 1, got 0'),
        (dict(cumulative_iters=2.0), None, 'optimizer_config.cumulative_iters must be a whole number >= 1, got 2.0'),
        (dict(grad_clip=dict(max_nrom=1)), None, "optimizer_config.grad_clip={'max_nrom': 1}: .* write dict"),
        ({}, dict(loss_scale='static'), "fp16.loss_scale must be 'dynamic' or a number, got 'static'"),
        ({}, dict(dtype='int8'), "fp16.dtype must be one of 'float16', 'bfloat16', got 'int8'"),
        ({}, dict(scale=2.0), "fp16 has no key 'scale'"),
    ],
)
def test_what_would_not_be_honored_is_refused(optimizer_config, fp16, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer_hook(optimizer_config, fp16)
