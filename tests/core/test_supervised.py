"""The supervised baseline with its average."""

import torch
from tiny import lively

from ssod.core.teacher_student import reduced
from ssod.detection import Supervised


def test_the_student_learns_as_the_plain_detector_and_the_teacher_averages_it(detector_cfg, make_batch):
    model = Supervised(detector_cfg, dict(ema=dict(momentum=0.75, ramp=False))).train()
    lively(model)
    batch = make_batch()['sup']
    torch.manual_seed(1)
    expected = reduced(model.student.forward_train(**batch))
    torch.manual_seed(1)
    result = model.train_step(batch)
    assert list(result['log_vars']) == [*expected, 'loss'] and result['num_samples'] == 1
    for name, value in expected.items():
        torch.testing.assert_close(torch.tensor(result['log_vars'][name]), value.detach().reshape(()))
    result['loss'].backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    weight, average = model.student.rpn_head.rpn_cls.weight, model.teacher.rpn_head.rpn_cls.weight
    before = average.clone()
    weight.data += 1
    model.update_teacher(5)
    torch.testing.assert_close(average, 0.75 * before + 0.25 * weight.detach())


def test_it_predicts_with_either_model(detector_cfg, make_view):
    model, view = Supervised(detector_cfg).eval(), make_view(['u'])
    lively(model)
    for name in ('student', 'teacher'):
        model.predict_on = name
        with torch.no_grad():
            found = model([view['img']], [view['img_metas']], return_loss=False, rescale=True)[0]
            own = getattr(model, name).simple_test(view['img'], view['img_metas'], rescale=True)[0]
        assert all((a == b).all() for a, b in zip(found, own, strict=True))
