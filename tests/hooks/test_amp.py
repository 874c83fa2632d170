"""Mixed precision on a CPU: bfloat16 where it belongs, float32 elsewhere, and float16 not at all."""

import copy

import pytest
import torch

from ssod.hooks import AmpOptimizerHook, autocast_for_test


@pytest.fixture
def start(fake_runner):
    """``start(model, dtype)``: a runner after the hook's ``before_run``, and the hook."""

    def make(model, **kwargs):
        optimizer = torch.optim.SGD([p for p in model.student.parameters() if p.requires_grad], lr=0.1)
        runner, hook = fake_runner(model, optimizer=optimizer), AmpOptimizerHook(**kwargs)
        hook.before_run(runner)
        return runner, hook

    return make


def dtypes_of(module, seen, name):
    module.register_forward_hook(lambda _, args, out: seen.setdefault(name, set()).add((args[0].dtype, out.dtype)))


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_networks_compute_in_half_and_hand_over_float32(make_model, make_batch, start, dtype):
    model, seen = make_model(), {}
    start(model, dtype=dtype)
    for name in ('student', 'teacher'):
        detector = getattr(model, name)
        dtypes_of(detector.backbone.layer1[0].conv1, seen, 'network')
        dtypes_of(detector.neck.fpn_convs[0].conv, seen, 'network')
        dtypes_of(detector.roi_head.bbox_head.fc_cls, seen, 'network')
        detector.roi_head.bbox_roi_extractor.register_forward_hook(
            lambda _, args, out: seen.setdefault('RoIAlign', set()).add((args[0][0].dtype, out.dtype))
        )
    variance, decode = model.reg_filter.variance, model.teacher.roi_head.bbox_head.bbox_coder.decode
    model.reg_filter.variance = lambda *args: note(seen, 'boxes', variance(*args))
    model.teacher.roi_head.bbox_head.bbox_coder.decode = lambda *args, **kw: note(seen, 'boxes', [decode(*args, **kw)])
    losses = model(**make_batch())
    half, full = torch.bfloat16, torch.float32
    assert {out for _, out in seen['network']} == {half if dtype == 'bfloat16' else full}
    assert seen['RoIAlign'] == {(full, full)} and seen['boxes'] == {full}
    assert all(value.dtype == full for value in losses.values())
    assert losses['num_pseudo_cls'] > 0


def note(seen, name, tensors):
    seen.setdefault(name, set()).update(tensor.dtype for tensor in tensors)
    return tensors[0] if len(tensors) == 1 else tensors


def test_bfloat16_losses_are_close_to_float32_and_gradients_finite(make_model, make_batch, start):
    results, proposals = [], [torch.tensor([[12.0, 8, 62, 70], [40, 40, 110, 90], [0, 0, 30, 30]])]
    for half in (False, True):
        model, batch = make_model(), make_batch()
        if half:
            start(model, dtype='bfloat16')
        model.student.rpn_head.get_bboxes = lambda *args, **kwargs: proposals  # NMS may decide otherwise on a rounding
        result = model.train_step(dict(sup=batch['sup']))
        result['loss'].backward()
        results.append(result['log_vars'])
    full, half = results
    for name in ('sup_loss_rpn_cls', 'sup_loss_rpn_bbox', 'sup_loss_cls', 'sup_loss_bbox'):
        assert half[name] == pytest.approx(full[name], rel=0.02) and half[name] != full[name]
    gradients = [p.grad for p in model.student.parameters() if p.requires_grad]
    assert all(g.isfinite().all() and g.dtype == torch.float32 for g in gradients)


def test_a_whole_semi_supervised_step_in_bfloat16_moves_the_weights(make_model, make_batch, start):
    model = make_model()
    runner, hook = start(model, dtype='bfloat16', grad_clip=dict(max_norm=1.0))
    weight = model.student.rpn_head.rpn_cls.weight
    before = copy.deepcopy(dict(model.student.named_parameters()))
    runner.outputs = model.train_step(make_batch())
    hook.after_train_iter(runner)
    assert runner.outputs['log_vars']['num_pseudo_reg'] > 0
    way = torch.stack([(p - before[name]).norm() for name, p in model.student.named_parameters()]).norm().item()
    assert way == pytest.approx(0.1, rel=1e-3) and runner.log_buffer.val_history['grad_norm'][0] > 1
    assert (weight != before['rpn_head.rpn_cls.weight']).all() and weight.grad is None
    assert runner.meta == {} and runner.messages == ['training and evaluating under autocast (bfloat16)']


def test_float16_on_a_cpu_trains_in_float32_and_says_so(make_model, make_batch, start):
    plain, batch = make_model().train_step(dict(sup=make_batch()['sup']))['loss'], make_batch()
    model = make_model()
    runner, hook = start(model)
    assert runner.messages == [
        'fp16 needs a GPU: training and evaluating in float32 (fp16.dtype="bfloat16" works on a CPU)'
    ]
    runner.outputs = model.train_step(dict(sup=batch['sup']))
    hook.after_train_iter(runner)
    assert torch.equal(runner.outputs['loss'], plain)


def test_a_plain_detector_is_put_under_autocast_too(make_model, make_batch, fake_runner):
    detector, seen = make_model().student, {}
    AmpOptimizerHook(dtype='bfloat16').before_run(fake_runner(detector))
    dtypes_of(detector.roi_head.bbox_head.fc_reg, seen, 'network')
    losses = detector.forward_train(**make_batch()['sup'])
    assert seen['network'] == {(torch.bfloat16, torch.bfloat16)} and losses['loss_bbox'].dtype == torch.float32


def test_the_model_is_as_before_after_the_run(make_model, make_batch, start):
    model, batch = make_model(), make_batch()['sup']
    plain = model.train_step(dict(sup=batch))['loss']
    runner, hook = start(model, dtype='bfloat16')
    half = model.train_step(dict(sup=batch))['loss']
    hook.after_run(runner)
    assert torch.equal(model.train_step(dict(sup=batch))['loss'], plain) and not torch.equal(half, plain)
    start(make_model())[1].after_run(runner)  # which had nothing to put under autocast


def test_a_test_predicts_as_the_evaluations_of_the_training(make_model, make_view, start, capsys):
    view = make_view(['u'])
    found = []
    for prepare in (
        lambda model: start(model, dtype='bfloat16'),
        lambda model: autocast_for_test(model, dict(dtype='bfloat16')),
        lambda model: autocast_for_test(model, dict(loss_scale=512.0)),
        lambda model: autocast_for_test(model, None),
    ):
        model = make_model().eval()
        prepare(model)
        with torch.no_grad():
            found.append(model.simple_test(view['img'], view['img_metas'])[0])
    trained, half, float16, plain = (torch.cat([torch.tensor(boxes) for boxes in result]) for result in found)
    assert torch.equal(trained, half) and torch.equal(float16, plain)
    assert len(half) and not torch.equal(half, plain[: len(half)])
    assert capsys.readouterr().out.splitlines() == [
        'evaluating under autocast (bfloat16)',
        'fp16 needs a GPU: evaluating in float32 (fp16.dtype="bfloat16" works on a CPU)',
    ]


@pytest.mark.parametrize('kwargs', [dict(dtype='int8'), dict(loss_scale='static')])
def test_unknown_settings_are_refused(kwargs):
    with pytest.raises(ValueError, match='fp16.(dtype|loss_scale) must be '):
        AmpOptimizerHook(**kwargs)
