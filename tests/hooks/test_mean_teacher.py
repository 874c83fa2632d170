"""The hook that calls the model's own average."""

import pytest
import torch

from ssod.hooks import MeanTeacherHook


def weight(model):
    return model.teacher.rpn_head.rpn_cls.weight


def test_it_updates_the_teacher_and_logs_the_momentum(make_model, fake_runner):
    model, hook = make_model(), MeanTeacherHook()
    before, student = weight(model).clone(), model.student.rpn_head.rpn_cls.weight
    runner = fake_runner(model, iter=3)
    hook.before_run(runner)
    hook.before_train_iter(runner)
    torch.testing.assert_close(weight(model), 0.75 * before + 0.25 * student)
    assert runner.log_buffer.val_history['ema_momentum'] == [0.75]


def test_its_settings_go_to_the_model(make_model, fake_runner):
    model = make_model(ema=dict(momentum=0.9, interval=7))
    MeanTeacherHook(momentum=0.6).before_run(fake_runner(model))
    assert (model.ema.momentum, model.ema.interval) == (0.6, 7)
    with pytest.raises(ValueError, match='MMDetection 3'):
        MeanTeacherHook(momentum=0.0002).before_run(fake_runner(model))


def test_an_iteration_without_an_update_logs_nothing(make_model, fake_runner):
    model = make_model(ema=dict(interval=3))
    hook, moved = MeanTeacherHook(), []
    hook.before_run(fake_runner(model))
    for iteration in range(7):
        before = weight(model).clone()
        model.student.rpn_head.rpn_cls.weight.data += 1
        runner = fake_runner(model, iter=iteration)
        hook.before_train_iter(runner)
        moved.append(not torch.equal(weight(model), before))
        assert ('ema_momentum' in runner.log_buffer.val_history) == moved[-1]
    assert moved == [True, False, False, True, False, False, True]
