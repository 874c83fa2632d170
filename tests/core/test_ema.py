"""The teacher's average, worked by hand."""

import pytest
from torch import nn

from ssod.core import EMA
from ssod.core.ema import paired_tensors, update_teacher


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


def updated(pair, ema, iteration):
    """Move the teacher once; the momentum."""
    momentum = ema.momentum_at(iteration)
    update_teacher(paired_tensors(pair.student, pair.teacher), momentum, everything=iteration == 0)
    return momentum


AVERAGED = ('fc.weight', 'fc.bias', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var')


def test_iteration_0_copies_everything_frozen_parameters_too():
    pair = Pair()
    assert updated(pair, EMA(), 0) == 0.0
    assert set(values(pair.teacher).values()) == {1.0}
    assert set(values(pair.student).values()) == {1.0}


def test_parameters_and_float_buffers_are_averaged_and_integer_buffers_copied():
    pair = Pair()
    updated(pair, EMA(momentum=0.9), 1000)
    expected = {name: 0.1 for name in AVERAGED} | {'bn.num_batches_tracked': 1, 'frozen.weight': 0, 'frozen.bias': 0}
    assert values(pair.teacher) == pytest.approx(expected)


def test_a_parameter_that_begins_to_train_begins_to_reach_the_teacher():
    pair = Pair()
    updated(pair, EMA(momentum=0.9), 1000)
    assert pair.teacher.frozen.weight.item() == 0
    pair.student.frozen.requires_grad_(True)
    updated(pair, EMA(momentum=0.9), 1000)
    assert pair.teacher.frozen.weight.item() == pytest.approx(0.1)


def test_the_average_over_four_iterations_follows_the_schedule():
    pair, ema, weight = Pair(), EMA(momentum=0.6), 0.0
    for iteration, (student, momentum) in enumerate([(1.0, 0.0), (3.0, 0.5), (-2.0, 0.6), (5.0, 0.6)]):
        for parameter in pair.student.fc.parameters():
            parameter.data.fill_(student)
        assert updated(pair, ema, iteration) == pytest.approx(momentum)
        weight = momentum * weight + (1 - momentum) * student
        assert pair.teacher.fc.weight.item() == pytest.approx(weight)
    assert not pair.teacher.fc.weight.grad_fn


def test_without_the_ramp_the_momentum_holds_after_the_first_copy():
    ema = EMA(momentum=0.9, ramp=False)
    assert [ema.momentum_at(iteration) for iteration in (0, 1, 2, 500)] == [0, 0.9, 0.9, 0.9]


def test_the_momentum_grows_to_its_limit():
    ema, slow = EMA(), EMA(warm_up=99)
    assert [ema.momentum_at(i) for i in (0, 1, 9, 10**6)] == pytest.approx([0, 0.5, 0.9, 0.999])
    assert [slow.momentum_at(i) for i in (0, 100, 900)] == pytest.approx([0, 0.5, 0.9])
    assert ema.momentum_at(998) < 0.999 and ema.momentum_at(1000) == 0.999


def test_models_that_differ_are_refused():
    pair = Pair()
    pair.teacher['more'] = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"differ in \['more.bias', 'more.weight'\]"):
        paired_tensors(pair.student, pair.teacher)


@pytest.mark.parametrize('kwargs', [dict(momentum=1.1), dict(momentum=-0.1), dict(interval=0), dict(warm_up=-1)])
def test_settings_that_mean_nothing_are_refused(kwargs):
    with pytest.raises(ValueError, match=f'ema.{next(iter(kwargs))} must be'):
        EMA(**kwargs)


def test_mmdetection_3s_momentum_is_refused_with_ours():
    with pytest.raises(ValueError, match="MMDetection 3 counts the student's share there.*: write 0.999"):
        EMA(momentum=0.001)
    assert EMA(momentum=0.0).momentum_at(5) == 0.0 and EMA(momentum=0.5).momentum == 0.5
