"""Student and teacher as one model: modes, branches, weights."""

import copy
import re
import warnings

import pytest
import torch
from mmcv.runner import load_checkpoint
from mmdet.models import build_detector

from ssod.detection import SemiBaseDetector, SoftTeacher

SUP = {f'sup_{name}' for name in ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox')}
UNSUP = {name.replace('sup_', 'unsup_') for name in SUP}
FIGURES = {f'num_pseudo_{name}' for name in ('candidates', 'rpn', 'cls', 'reg')} | {
    'teacher_score',
    'teacher_max_score',
}


def assert_every_parameter_has_a_gradient(model):
    missing = [n for n, p in model.student.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert all(p.grad is None for p in model.teacher.parameters())


def test_the_teacher_is_in_eval_mode_and_without_gradient_whatever_the_mode(make_model):
    model = make_model()
    for mode in (True, False, True):
        model.train(mode)
        assert model.student.training is mode
        assert not any(module.training for module in model.teacher.modules())
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert any(p.requires_grad for p in model.student.parameters())


@pytest.mark.parametrize('missing', [(), ('sup',), ('unsup_teacher', 'unsup_student'), 'all'])
def test_keys_are_the_same_and_every_parameter_learns_whichever_branch_is_missing(make_model, make_batch, missing):
    model, batch = make_model(), make_batch()
    batch = {name: value for name, value in batch.items() if missing != 'all' and name not in missing}
    losses = model(**batch)
    assert set(losses) == SUP | UNSUP | FIGURES
    for prefix, names in (('sup', SUP), ('unsup_student', UNSUP)):
        total = sum(losses[name].item() for name in names)
        assert (total > 0) == (prefix in batch)
    model.train_step(batch)['loss'].backward()
    assert_every_parameter_has_a_gradient(model)


def test_the_order_of_the_keys_does_not_depend_on_the_branches(make_model, make_batch):
    # _parse_losses adds the ranks' values up by position.
    model = make_model()
    assert list(model(**make_batch())) == list(model())


def test_labeled_images_without_boxes_or_proposals_give_the_same_keys(make_model, make_batch, monkeypatch):
    model, sup = make_model(), make_batch()['sup']
    sup.update(gt_bboxes=[torch.zeros(0, 4)], gt_labels=[torch.zeros(0, dtype=torch.long)])
    forward_train = model.student.rpn_head.forward_train

    def without_proposals(*args, **kwargs):
        return forward_train(*args, **kwargs)[0], [torch.zeros(0, 5)]

    monkeypatch.setattr(model.student.rpn_head, 'forward_train', without_proposals)
    assert list(model(sup=sup)) == list(model())
    model.train_step(dict(sup=sup))['loss'].backward()
    assert_every_parameter_has_a_gradient(model)


def test_weights_multiply_losses_and_leave_measures(make_model, make_batch):
    plain, heavy = (
        make_model(sup_weight=sup, unsup_weight=unsup)(**make_batch()) for sup, unsup in ((1.0, 1.0), (0.5, 3.0))
    )
    for name in SUP | UNSUP | FIGURES:
        factor = 1.0 if 'loss' not in name else 0.5 if name.startswith('sup_') else 3.0
        torch.testing.assert_close(heavy[name], plain[name] * factor)
    assert plain['unsup_loss_cls'] > 0 and plain['unsup_acc'] > 0


def test_an_unsupervised_weight_of_zero_asks_the_teacher_nothing(make_model, make_batch, monkeypatch):
    model = make_model(unsup_weight=0.0)
    monkeypatch.setattr(model, 'find_pseudo_labels', None)
    losses = model(**make_batch())
    assert all(losses[name] == 0 for name in UNSUP | FIGURES)


def test_train_step_sums_losses_and_counts_each_image_once(make_model, make_batch):
    model, batch = make_model(), make_batch()
    torch.manual_seed(3)
    losses = model(**batch)
    torch.manual_seed(3)
    result = model.train_step(batch)
    assert result['num_samples'] == 3
    expected = sum(value.item() for name, value in losses.items() if 'loss' in name)
    assert result['loss'].item() == pytest.approx(expected, rel=1e-5)
    assert result['log_vars']['loss'] == pytest.approx(expected, rel=1e-5)
    assert result['log_vars']['sup_acc'] == pytest.approx(losses['sup_acc'].item(), rel=1e-5)
    assert list(result['log_vars']) == [*losses, 'loss']


def test_logged_values_are_averaged_over_ranks_and_the_loss_is_not(make_model, on_two_ranks):
    model = make_model()

    def step(rank):
        loss, log_vars = model._parse_losses(dict(loss_a=torch.tensor([1.0 + rank]), acc=torch.tensor(10.0 * rank)))
        return torch.stack([loss.reshape(()), *map(torch.tensor, log_vars.values())])

    for rank, values in enumerate(on_two_ranks(step)):
        assert values.tolist() == [1.0 + rank, 1.5, 5.0, 1.5]


def test_inference_answers_with_the_model_that_predict_on_names(make_model, make_view):
    model, view = make_model().eval(), make_view(['u'])
    answers = {}
    for name in ('student', 'teacher'):
        model.predict_on = name
        with torch.no_grad():
            answers[name] = model([view['img']], [view['img_metas']], return_loss=False, rescale=True)[0]
            own = getattr(model, name).simple_test(view['img'], view['img_metas'], rescale=True)[0]
        assert all((a == b).all() for a, b in zip(answers[name], own, strict=True))
    assert any(a.shape != b.shape or (a != b).any() for a, b in zip(*answers.values(), strict=True))


def test_an_unknown_predictor_is_refused(make_model, detector_cfg):
    with pytest.raises(ValueError, match="one of 'student', 'teacher', got 'both'"):
        make_model().predict_on = 'both'
    with pytest.raises(ValueError, match='predict_on'):
        SoftTeacher(detector_cfg, semi_test_cfg=dict(predict_on='x'))


def test_the_hosts_builder_builds_it(detector_cfg):
    cfg = dict(type='SoftTeacher', detector=detector_cfg, semi_test_cfg=dict(predict_on='teacher'))
    model = build_detector(cfg)
    assert isinstance(model, SoftTeacher) and model.predictor is model.teacher


def test_initializing_gives_both_the_same_weights(detector_cfg):
    model = SoftTeacher(detector_cfg)
    model.init_weights()
    student, teacher = model.student.state_dict(), model.teacher.state_dict()
    assert all(torch.equal(student[name], teacher[name]) for name in student)


def test_a_subclass_must_say_what_unlabeled_images_teach(detector_cfg):
    with pytest.raises(TypeError, match='abstract method.*find_pseudo_labels'):
        SemiBaseDetector(detector_cfg)


def through_torch(model, state, path):
    return model.load_state_dict(state)


def through_mmcv(model, state, path):
    torch.save(dict(state_dict=state, meta={}), path)
    load_checkpoint(model, str(path), strict=True)


@pytest.mark.parametrize('load', [through_torch, through_mmcv])
@pytest.mark.parametrize('halves', [(), ('student',), ('teacher',), ('student', 'teacher')])
def test_a_checkpoint_fills_both_models(make_model, tmp_path, load, halves):
    source, target = make_model(), make_model()
    state = source.student.state_dict() if not halves else source.state_dict()
    state = {key: value + 1 for key, value in state.items() if not halves or key.split('.')[0] in halves}
    before = dict(state)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        load(target, state, tmp_path / 'weights.pth')
    said = [str(w.message) for w in caught if 'fill student and teacher' in str(w.message)]
    assert len(said) == (len(halves) == 1) and all(f'a {halves[0]} alone' in text for text in said)
    for half in ('student', 'teacher'):
        name = half if half in halves or not halves else halves[0]
        for key, value in getattr(target, half).state_dict().items():
            assert torch.equal(value, before[f'{name}.{key}' if halves else key]), (half, key)
    assert state.keys() == before.keys(), 'the caller keeps its own dictionary'


def test_a_checkpoint_that_does_not_fit_is_refused(make_model):
    model = make_model()
    state = model.student.state_dict()
    del state['neck.fpn_convs.0.conv.bias']
    with pytest.raises(RuntimeError, match='teacher.neck.fpn_convs.0.conv.bias'):
        model.load_state_dict(state)


def test_a_detectors_trained_batchnorm_reaches_the_teacher(make_model, detector_cfg):
    detector_cfg.backbone.update(norm_eval=False, frozen_stages=-1)
    model = make_model(detector_cfg)
    model.student.extract_feat(torch.randn(2, 3, 64, 64))
    before = model.teacher.backbone.bn1.running_mean.clone()
    student = model.student.backbone.bn1.running_mean
    assert model.update_teacher(3) == 0.75
    torch.testing.assert_close(model.teacher.backbone.bn1.running_mean, 0.75 * before + 0.25 * student)
    assert (student != before).all()


@pytest.mark.parametrize('move', [lambda m: m.double(), copy.deepcopy], ids=['moved', 'copied'])
def test_the_teacher_of_a_moved_or_copied_model_follows_its_own_student(make_model, move):
    model = make_model()
    model.update_teacher(0)
    moved = move(model)
    before = model.teacher.rpn_head.rpn_cls.weight.clone()
    moved.student.rpn_head.rpn_cls.weight.data += 1
    moved.student.backbone.bn1.running_mean += 1
    moved.update_teacher(0)
    for own, other in zip(moved.student.state_dict().values(), moved.teacher.state_dict().values(), strict=True):
        assert torch.equal(own, other)
    assert moved is model or torch.equal(model.teacher.rpn_head.rpn_cls.weight, before)


def test_a_setting_that_is_not_known_is_refused_with_the_one_that_was_meant(detector_cfg):
    for wrong, meant in {
        'unsup_wieght': 'did you mean unsup_weight?',
        'cls_pseudo_thr': "write cls_filter=dict(type='ScoreFilter', thr=...)",
        'pseudo_label_initial_score_thr': 'write candidate_score_thr',
        'jitter_times': "write reg_filter=dict(type='JitterVarianceFilter', num_jitters=...)",
        'momentum': 'write ema=dict(momentum=...)',
    }.items():
        with pytest.raises(ValueError, match=f'semi_train_cfg has no key {wrong!r}: {re.escape(meant)}'):
            SoftTeacher(detector_cfg, {wrong: 1})
    with pytest.raises(ValueError, match="semi_train_cfg.ema has no key 'momentun': did you mean momentum"):
        SoftTeacher(detector_cfg, dict(ema=dict(momentun=0.9)))
    with pytest.raises(ValueError, match="semi_test_cfg has no key 'forward_on': write predict_on"):
        SoftTeacher(detector_cfg, semi_test_cfg=dict(forward_on='teacher'))
    with pytest.raises(ValueError, match=r'belongs to the detector: write model.detector.train_cfg'):
        SoftTeacher(detector_cfg, train_cfg=dict(rcnn=dict()))


@pytest.mark.parametrize('value', [-1.0, float('nan'), float('inf'), '2', True])
def test_a_weight_that_is_no_weight_is_refused(detector_cfg, value):
    with pytest.raises(ValueError, match='semi_train_cfg.unsup_weight must be a'):
        SoftTeacher(detector_cfg, dict(unsup_weight=value))
