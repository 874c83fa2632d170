"""Mixed precision on a CPU: bfloat16 where it belongs, float32 elsewhere, and float16 not at all."""

import copy
import json

import detectors
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from runs import SOFT_TEACHER, call, taught

from ssod.accel import accelerate
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


@pytest.mark.parametrize('make', [detectors.mask_rcnn, detectors.cascade_mask_rcnn, detectors.hybrid_task_cascade])
def test_every_head_of_every_stage_computes_in_half_and_hands_over_float32(
    make_model, make_batch, detector_cfg, start, make
):
    """Lists of box heads and mask heads, and the semantic head."""
    always = dict(type='ScoreFilter', thr=0.0)
    model, batch, seen = make_model(make(detector_cfg), reg_filter=always), make_batch(), {}
    start(model, dtype='bfloat16')
    for half in ('student', 'teacher'):
        for name, module in getattr(model, half).roi_head.named_modules():
            if type(module) is torch.nn.Linear or 'onv' in type(module).__name__ and hasattr(module, 'weight'):
                dtypes_of(module, seen, f'{half} {name}')
            if 'RoIExtractor' in type(module).__name__:
                module.register_forward_hook(
                    lambda _, args, out: seen.setdefault('RoIAlign', set()).add((args[0][0].dtype, out.dtype))
                )
    batch['sup'] = detectors.with_masks(batch['sup'])
    if make is not detectors.hybrid_task_cascade:
        del batch['sup']['gt_semantic_seg']
    full = torch.float32
    assert seen.pop('RoIAlign', None) is None
    losses = model(**batch)
    assert seen.pop('RoIAlign') == {(full, full)}
    wrong = [name for name, pairs in seen.items() if {out for _, out in pairs} != {torch.bfloat16}]
    assert wrong == [] and any('mask_head' in name for name in seen)
    assert all(value.dtype == full and value.isfinite() for value in losses.values())
    assert losses['num_pseudo_mask'] > 0
    found = model.find_pseudo_labels(batch['unsup_teacher'])
    assert {labels.masks.dtype for labels in found.masked} == {full}
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(p.grad.isfinite().all() for p in model.student.parameters() if p.requires_grad)


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


def test_a_checkpoint_is_tested_as_the_training_evaluated_it(tmp_path, monkeypatch, capsys):
    """The same detections, bit by bit, and so the same mAP as in the log."""
    found = []
    evaluate = CocoDataset.evaluate
    monkeypatch.setattr(CocoDataset, 'evaluate', lambda *args, **kw: found.append(args[1]) or evaluate(*args, **kw))
    options = taught(runner__max_iters=4, evaluation__interval=4, model__detector__test_cfg__rcnn__score_thr=0.01)
    half = [*options, 'fp16.dtype=bfloat16', 'optimizer_config.cumulative_iters=2']
    call('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, '--seed', 0, *half)
    log = next(tmp_path.glob('*.log')).read_text()
    assert log.count('evaluating under autocast (bfloat16)') == 1
    last = [json.loads(line) for line in next(tmp_path.glob('*.log.json')).read_text().splitlines()][-1]

    arguments = [tmp_path / 'iter_4.pth', '--eval', 'bbox', '--eval-on', 'both', '--work-dir', tmp_path]
    capsys.readouterr()
    for settings in (half, options):
        call('tools/test.py', SOFT_TEACHER, *arguments, *settings)
        if settings is half:
            assert capsys.readouterr().out.count('evaluating under autocast (bfloat16)') == 1
            tested = json.loads((tmp_path / 'eval.json').read_text())
            assert {key: last[key] for key in tested} == tested
    student, teacher, *again = [[boxes for image in results for boxes in image] for results in found]
    assert sum(map(len, student)) > 20 and sum(map(len, teacher)) > 20
    assert all(map(np.array_equal, [*student, *teacher], [*again[0], *again[1]]))
    assert not all(map(np.array_equal, student, again[2]))


@pytest.mark.gpu
@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_a_step_on_a_gpu(make_model, make_batch, start, dtype, channels_last):
    """Half precision in the networks, a scaled loss, unscaled gradients, accumulated over two iterations."""
    model = make_model().cuda()
    if channels_last:
        model.to(memory_format=torch.channels_last)
    plain = model.train_step(on_gpu(make_batch()))['log_vars']
    seen, before = {}, copy.deepcopy(dict(model.student.named_parameters()))
    settings = dict(grad_clip=dict(max_norm=1.0), cumulative_iters=2)
    runner, hook = start(accelerate(model), dtype=dtype, loss_scale=128.0, **settings)
    dtypes_of(model.student.neck.fpn_convs[0].conv, seen, 'network')
    for iteration in range(2):
        runner.iter = iteration
        runner.outputs = model.train_step(on_gpu(make_batch()))
        hook.after_train_iter(runner)
        moved = any(not torch.equal(p, before[name]) for name, p in model.student.named_parameters())
        assert moved == (iteration == 1)
    assert {out for _, out in seen['network']} == {getattr(torch, dtype)}
    for name in ('sup_loss_rpn_cls', 'sup_loss_cls'):
        assert runner.outputs['log_vars'][name] == pytest.approx(plain[name], rel=0.05)
    way = torch.stack([(p - before[name]).norm() for name, p in model.student.named_parameters()]).norm().item()
    assert way == pytest.approx(0.1, rel=1e-2)  # the learning rate times the clipped norm, whatever the loss scale
    assert runner.meta.get('fp16', {}).get('scale') == (128.0 if dtype == 'float16' else None)


@pytest.mark.gpu
def test_an_overflow_on_a_gpu_skips_the_step_and_lowers_the_scale(make_model, make_batch, start):
    model = make_model().cuda()
    runner, hook = start(model, dtype='float16')
    before = copy.deepcopy(model.student.state_dict())
    runner.outputs = model.train_step(on_gpu(make_batch()))
    runner.outputs['loss'] = runner.outputs['loss'] * 1e38
    hook.after_train_iter(runner)
    assert runner.meta['fp16']['scale'] == 2.0**15
    assert all(torch.equal(value, before[name]) for name, value in model.student.state_dict().items())


def on_gpu(value):
    """A batch with its tensors on the GPU."""
    if isinstance(value, dict):
        return {key: on_gpu(item) for key, item in value.items()}
    if isinstance(value, list):
        return [on_gpu(item) for item in value]
    return value.cuda() if isinstance(value, torch.Tensor) else value
