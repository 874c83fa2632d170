"""The teacher's average, worked by hand."""

import pytest
import torch
from torch import nn

from ssod.hooks import MeanTeacherHook
from ssod.hooks.mean_teacher import paired_tensors


class Pair(nn.Module):
    """A student and a teacher of a linear layer, a frozen parameter and a BatchNorm."""

    def __init__(self):
        super().__init__()
        self.student, self.teacher = self.net(1.0), self.net(0.0)

    @staticmethod
    def net(value):
        net = nn.ModuleDict(dict(fc=nn.Linear(1, 1), frozen=nn.Linear(1, 1), bn=nn.BatchNorm1d(1)))
        net.frozen.requires_grad_(False)
        for tensor in net.state_dict().values():
            tensor.fill_(value)
        return net


def values(net):
    return {name: value.item() for name, value in net.state_dict().items()}


def updated(hook, runner):
    """The runner of a run's one update."""
    hook.before_run(runner)
    hook.before_train_iter(runner)
    return runner


AVERAGED = ('fc.weight', 'fc.bias', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var')


def test_iteration_0_copies_everything_frozen_parameters_too(fake_runner):
    pair = Pair()
    runner = updated(MeanTeacherHook(), fake_runner(pair))
    assert set(values(pair.teacher).values()) == {1.0}
    assert runner.log_buffer.val_history['ema_momentum'] == [0.0]
    assert set(values(pair.student).values()) == {1.0}


def test_parameters_and_float_buffers_are_averaged_and_integer_buffers_copied(fake_runner):
    pair = Pair()
    updated(MeanTeacherHook(momentum=0.9), fake_runner(pair, iter=1000))
    expected = {name: 0.1 for name in AVERAGED} | {'bn.num_batches_tracked': 1, 'frozen.weight': 0, 'frozen.bias': 0}
    assert values(pair.teacher) == pytest.approx(expected)


def test_a_parameter_that_begins_to_train_begins_to_reach_the_teacher(fake_runner):
    pair, hook = Pair(), MeanTeacherHook(momentum=0.9)
    runner = updated(hook, fake_runner(pair, iter=1000))
    assert pair.teacher.frozen.weight.item() == 0
    pair.student.frozen.requires_grad_(True)
    hook.before_train_iter(runner)
    assert pair.teacher.frozen.weight.item() == pytest.approx(0.1)


def test_the_average_over_three_iterations_follows_the_schedule(fake_runner):
    pair, hook, weight = Pair(), MeanTeacherHook(momentum=0.6), 0.0
    hook.before_run(fake_runner(pair))
    for iteration, (student, momentum) in enumerate([(1.0, 0.0), (3.0, 0.5), (-2.0, 0.6), (5.0, 0.6)]):
        for parameter in pair.student.fc.parameters():
            parameter.data.fill_(student)
        hook.before_train_iter(fake_runner(pair, iter=iteration))
        weight = momentum * weight + (1 - momentum) * student
        assert pair.teacher.fc.weight.item() == pytest.approx(weight)
    assert not pair.teacher.fc.weight.grad_fn


def test_without_the_ramp_the_momentum_holds_after_the_first_copy():
    hook = MeanTeacherHook(momentum=0.9, ramp=False)
    assert [hook.momentum_at(iteration) for iteration in (0, 1, 2, 500)] == [0, 0.9, 0.9, 0.9]


def test_the_momentum_grows_to_its_limit():
    hook, slow = MeanTeacherHook(), MeanTeacherHook(warm_up=99)
    assert [hook.momentum_at(i) for i in (0, 1, 9, 10**6)] == pytest.approx([0, 0.5, 0.9, 0.999])
    assert [slow.momentum_at(i) for i in (0, 100, 900)] == pytest.approx([0, 0.5, 0.9])
    assert hook.momentum_at(998) < 0.999 and hook.momentum_at(1000) == 0.999


def test_the_teacher_moves_every_interval_iterations(fake_runner):
    pair, moved = Pair(), []
    hook = MeanTeacherHook(interval=3)
    hook.before_run(fake_runner(pair))
    for iteration in range(7):
        before = pair.teacher.fc.weight.item()
        pair.student.fc.weight.data.fill_(iteration + 10.0)
        hook.before_train_iter(fake_runner(pair, iter=iteration))
        moved.append(pair.teacher.fc.weight.item() != before)
    assert moved == [True, False, False, True, False, False, True]


def test_models_that_differ_are_refused():
    pair = Pair()
    pair.teacher['more'] = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"differ in \['more.bias', 'more.weight'\]"):
        paired_tensors(pair.student, pair.teacher)


@pytest.mark.parametrize('kwargs', [dict(momentum=1.1), dict(momentum=-0.1), dict(interval=0)])
def test_settings_that_mean_nothing_are_refused(kwargs):
    with pytest.raises(ValueError, match='MeanTeacherHook: '):
        MeanTeacherHook(**kwargs)


def test_a_detectors_trained_batchnorm_reaches_the_teacher(make_model, detector_cfg, fake_runner):
    detector_cfg.backbone.update(norm_eval=False, frozen_stages=-1)
    model = make_model(detector_cfg)
    model.student.extract_feat(torch.randn(2, 3, 64, 64))
    before = model.teacher.backbone.bn1.running_mean.clone()
    student = model.student.backbone.bn1.running_mean
    updated(MeanTeacherHook(), fake_runner(model, iter=3))  # momentum 3/4
    torch.testing.assert_close(model.teacher.backbone.bn1.running_mean, 0.75 * before + 0.25 * student)
    assert (student != before).all()
