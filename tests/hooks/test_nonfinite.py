"""Losses and gradients that are not finite: named and skipped, and too many in a row end the run."""

import math

import pytest
import torch
from mmcv.parallel import DataContainer
from torch import nn

from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError
from ssod.hooks import AmpOptimizerHook, ReleasingOptimizerHook
from ssod.hooks.nonfinite import Skips, files_in, nonfinite

NAN, INF = math.nan, math.inf


def test_the_parts_are_named_before_their_sum():
    assert nonfinite(dict(loss_cls=1.0, loss_box=NAN, acc=NAN, loss=NAN)) == 'loss_box'
    assert nonfinite(dict(loss_cls=INF, loss_box=-INF, loss=NAN)) == 'loss_cls, loss_box'
    assert nonfinite(dict(loss_cls=1.0, loss=INF)) == 'loss'
    assert nonfinite(dict(loss_cls=1.0, acc=NAN, loss=2.0)) == nonfinite({}) == ''


def test_file_names_are_found_in_every_branch():
    metas = DataContainer([[dict(filename='a.jpg'), dict(filename='b.jpg')]], cpu_only=True)
    batch = dict(sup=dict(img=torch.ones(1), img_metas=metas), unsup=dict(img_metas=[dict(filename='c.jpg')]))
    assert list(files_in(batch)) == ['a.jpg', 'b.jpg', 'c.jpg'] and list(files_in(None)) == []


@pytest.fixture
def train(fake_runner):
    """``train(hook, losses)``: the weight after each iteration, whose loss is weight times a number."""

    def run(hook, losses, batches=None):
        model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(model.weight)
        runner = fake_runner(model, max_iters=len(losses), optimizer=torch.optim.SGD(model.parameters(), lr=1.0))
        runner.every = []
        run.runner = runner
        hook.before_run(runner)
        for iteration, number in enumerate(losses):
            runner.iter = iteration
            loss = model.weight.sum() * number
            runner.outputs = dict(loss=loss, num_samples=1, log_vars=dict(loss_x=float(loss), loss=float(loss)))
            runner.data_batch = dict(img_metas=[dict(filename=f'{iteration}.jpg')])
            hook.after_train_iter(runner)
            runner.every.append(float(model.weight))
        return runner

    return run


BOTH = pytest.mark.parametrize('kind', [ReleasingOptimizerHook, lambda **kw: AmpOptimizerHook('bfloat16', **kw)])


@BOTH
@pytest.mark.parametrize('clip', [None, dict(max_norm=100)])
def test_a_step_is_skipped_named_and_the_run_goes_on(train, kind, clip):
    runner = train(kind(grad_clip=clip), [0.25, NAN, 0.25, INF, -INF, 0.25])
    assert runner.every == [0.75, 0.75, 0.5, 0.5, 0.5, 0.25]
    said = [line for line in runner.messages if 'the step is skipped' in line]
    assert said == [
        'iteration 2: loss_x is not finite, the step is skipped (1 in a row); images: 1.jpg',
        'iteration 4: loss_x is not finite, the step is skipped (1 in a row); images: 3.jpg',
        'iteration 5: loss_x is not finite, the step is skipped (2 in a row); images: 4.jpg',
    ]
    assert runner.log_buffer.val_history['grad_norm'] == [0.25] * 3, 'with clipping and without'
    assert all(p.grad is None for p in runner.model.parameters())


@BOTH
def test_too_many_in_a_row_end_the_run(train, kind):
    with pytest.raises(InputError) as stopped:
        train(kind(max_skips=2), [0.25, NAN, NAN, 0.25, NAN, NAN, NAN, 0.25])
    assert str(stopped.value).startswith(
        'iteration 7: loss_x is not finite, 3 steps in a row (optimizer_config.max_skips=2): the checkpoints are those'
    )
    assert train.runner.every[-1] == 0.5
    with pytest.raises(InputError, match='iteration 1: loss_x is not finite, 1 steps in a row'):
        train(kind(max_skips=0), [NAN])


@BOTH
@pytest.mark.parametrize('clip', [None, dict(max_norm=1.0)])
def test_a_gradient_that_is_not_finite_moves_nothing(train, kind, clip):
    class Root(torch.autograd.Function):
        """A finite value whose gradient is not."""

        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return grad * NAN

    hook = kind(grad_clip=clip)
    backward = hook.backward
    hook.backward = lambda loss: backward(Root.apply(loss) if train.runner.iter == 1 else loss)
    runner = train(hook, [0.25, 0.25, 0.25])
    assert runner.every == [0.75, 0.75, 0.5]
    assert [line for line in runner.messages if 'the step is skipped' in line] == [
        'iteration 2: a gradient is not finite, the step is skipped (1 in a row); images: 1.jpg'
    ]


def test_of_an_accumulation_the_rest_counts(train):
    runner = train(ReleasingOptimizerHook(cumulative_iters=2), [0.5, NAN, NAN, 0.5, NAN, NAN, 0.5, 0.5])
    assert runner.every == [1, 0.75, 0.75, 0.5, 0.5, 0.5, 0.5, 0.0]


def test_what_a_replay_needs_is_kept_three_times_at_most(train, tmp_path):
    runner = train(ReleasingOptimizerHook(), [NAN, NAN, 0.25, NAN, 0.25, NAN, 0.25, NAN, 0.25])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f'nonfinite_iter_{i}.pth' for i in (1, 4, 6)]
    kept = load_file(tmp_path / 'nonfinite_iter_4.pth')
    assert kept['state_dict']['weight'].item() == 0.75 and kept['meta']['iter'] == 3
    assert math.isnan(kept['replay']['log_vars']['loss_x']) and kept['replay']['settings'] == {}
    said = [line for line in runner.messages if 'kept' in line]
    assert said[0] == f'the step is kept: python tools/replay.py CONFIG {tmp_path}/nonfinite_iter_1.pth'


def test_a_full_disk_does_not_end_the_run(train, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('ssod.core.files.os.fsync', full)
    runner = train(ReleasingOptimizerHook(), [NAN, 0.25])
    assert runner.every == [1, 0.75] and list(tmp_path.iterdir()) == []
    assert any('No space left on device' in line for line in runner.messages)


def test_max_skips_is_a_number():
    with pytest.raises(ValueError, match='optimizer_config.max_skips must be a whole number >= 0, got -1'):
        ReleasingOptimizerHook(max_skips=-1)
    assert Skips(3).in_a_row == 0
