"""Simple Baseline: one pass of both halves, the losses of the note, batches by source and as a union, checkpoints."""

import copy

import pytest
import torch
from mmseg.models import build_segmentor
from torch.nn import functional as F

from ssod.segmentation.dsbn import DSBN, weak_images
from ssod.segmentation.losses import self_correction_loss
from ssod.segmentation.maps import logits_of
from ssod.segmentation.simple_baseline import SimpleBaseline
from ssod.segmentation.trial import tiny_segmentor, trial, view


def make(**settings):
    torch.manual_seed(0)
    cfg = tiny_segmentor()
    cfg.decode_head.dropout_ratio = 0  # two passes draw alike
    return SimpleBaseline(cfg, semi_train_cfg=settings).train()


def batch():
    return copy.deepcopy(trial()[1])


def test_both_halves_go_through_the_student_together_and_learn_by_the_kind_of_their_labels():
    model, views = make(), batch()
    model.student.decode_head.conv_seg.weight.data.normal_()
    twin = copy.deepcopy(model.student)
    losses = model(**views)
    with weak_images(twin, 2):
        logits = logits_of(twin, torch.cat([views['sup']['img'], views['unsup_student']['img']]))
    labels, pseudo = views['unsup_student']['gt_semantic_seg'][:, 0], torch.ones(2, dtype=torch.bool)
    clean = F.cross_entropy(logits[:2], views['sup']['gt_semantic_seg'][:, 0])
    torch.testing.assert_close(losses['sup_loss_ce'], clean)
    torch.testing.assert_close(losses['unsup_loss_seg'], self_correction_loss(logits[2:], labels, pseudo))
    share = (logits[2:].argmax(1) == labels).float().mean() * 100
    torch.testing.assert_close(losses['pseudo_agreement'], share)
    assert losses['num_pseudo'] == 2
    for own, other in zip(model.student.state_dict().values(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other)


def test_in_a_union_the_images_and_not_the_halves_say_what_is_pseudo():
    model, views = make(), batch()
    views['sup']['img_metas'][0]['pseudo'] = True
    views['unsup_student']['img_metas'][1]['pseudo'] = False
    twin = copy.deepcopy(model.student)
    losses = model(**views)
    with weak_images(twin, 2):
        logits = logits_of(twin, torch.cat([views['sup']['img'], views['unsup_student']['img']]))
    labels = torch.cat([views[name]['gt_semantic_seg'][:, 0] for name in ('sup', 'unsup_student')])
    pseudo = torch.tensor([True, False, True, False])
    total = self_correction_loss(logits, labels, pseudo)
    torch.testing.assert_close(losses['sup_loss_ce'] + losses['unsup_loss_seg'], total)


@pytest.mark.parametrize('names', [['sup'], ['unsup_student'], ['sup', 'unsup_student'], []])
def test_a_half_that_is_missing_leaves_the_keys_and_a_gradient_for_every_weight(names):
    model, views = make(), batch()
    losses = model(**{name: views[name] for name in names})
    assert list(losses) == ['sup_loss_ce', 'unsup_loss_seg', 'sup_acc_seg', 'num_pseudo', 'pseudo_agreement']
    loss, values = model._parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss) and all(p.grad is not None for p in model.student.parameters())
    assert (values['sup_loss_ce'] > 0) == ('sup' in names)
    assert (values['unsup_loss_seg'] > 0) == ('unsup_student' in names)


def test_views_of_other_sizes_are_padded_and_the_padding_is_ignored():
    model, views = make(dsbn=False), batch()
    small = {key: value[..., :32, :48] if torch.is_tensor(value) else value for key, value in views['sup'].items()}
    twin = copy.deepcopy(model.student)
    losses = model(sup=small, unsup_student=views['unsup_student'])
    padded = F.pad(small['img'], (0, 16, 0, 16))
    logits = logits_of(twin, torch.cat([padded, views['unsup_student']['img']]))[:2, :, :32, :48]
    torch.testing.assert_close(losses['sup_loss_ce'], F.cross_entropy(logits, small['gt_semantic_seg'][:, 0]))


def test_the_parts_can_be_switched_off():
    views = batch()
    labels = views['unsup_student']['gt_semantic_seg'][:, 0]
    model = make(dsbn=False, self_correction=False)
    assert not any(isinstance(m, DSBN) for m in model.modules())
    twin = copy.deepcopy(model.student)
    losses = model(**views)
    logits = logits_of(twin, torch.cat([views['sup']['img'], views['unsup_student']['img']]))[2:]
    torch.testing.assert_close(losses['unsup_loss_seg'], F.cross_entropy(logits, labels))
    model.unsup_weight = 0  # a burn-in
    assert model(**views)['num_pseudo'] == 0


def test_weights_scale_the_two_losses():
    first, second = make(), make(sup_weight=0.5, unsup_weight=3.0)
    one, two = first(**batch()), second(**batch())
    torch.testing.assert_close(two['sup_loss_ce'], one['sup_loss_ce'] * 0.5)
    torch.testing.assert_close(two['unsup_loss_seg'], one['unsup_loss_seg'] * 3)


def test_a_plain_teachers_checkpoint_starts_both_halves_and_inference_is_the_weak_half():
    model = make()
    plain = build_segmentor(tiny_segmentor())
    model.load_state_dict(plain.state_dict())
    image = batch()['sup']['img']
    expected = logits_of(plain.eval(), image)
    for half in (model.student, model.teacher):
        torch.testing.assert_close(logits_of(half.eval(), image), expected)
    for layer in model.student.modules():
        if isinstance(layer, DSBN):
            layer.aux_bn.weight.data.fill_(100)
    torch.testing.assert_close(logits_of(model.student, image), expected)


def test_initialization_fills_both_halves_and_the_teacher(caplog):
    model = make()
    model.student._dump_init_info = lambda logger_name: None
    for layer in model.student.modules():
        if isinstance(layer, DSBN):
            layer.aux_bn.running_mean.fill_(7)
    model.init_weights()
    student, teacher = model.student.state_dict(), model.teacher.state_dict()
    assert student.keys() == teacher.keys() and all(torch.equal(v, teacher[k]) for k, v in student.items())
    for name, value in student.items():
        assert torch.equal(value, student[name.replace('.aux_bn.', '.main_bn.')])
    assert any('.aux_bn.' in name for name in student)


def test_l2_sp_pulls_convolutions_to_the_checkpoint_and_the_rest_to_zero(tmp_path):
    plain = build_segmentor(tiny_segmentor())
    path = str(tmp_path / 'start.pth')
    torch.save(dict(state_dict=plain.state_dict()), path)
    model = make(l2_sp=1e-4, l2_sp_checkpoint=path)
    expected, start = 0.0, plain.state_dict()
    for name, value in model.student.named_parameters():
        is_convolution = value.ndim == 4
        expected += float((value - start[name] if is_convolution else value).square().sum())
    losses = model(**batch())
    assert losses['loss_l2_sp'].item() == pytest.approx(1e-4 * expected, rel=1e-5)
    weights = {name: value for name, value in plain.state_dict().items() if name != 'backbone.layer1.0.conv1.weight'}
    torch.save(dict(state_dict=weights), path)
    with pytest.raises(ValueError, match='has no backbone.layer1.0.conv1.weight of shape'):
        make(l2_sp=1e-4, l2_sp_checkpoint=path)


def test_what_does_not_fit_is_said():
    cfg = tiny_segmentor()
    cfg.auxiliary_head = dict(type='FCNHead', in_channels=32, in_index=2, channels=4, num_convs=1, num_classes=3)
    with pytest.raises(ValueError, match='trains no auxiliary head'):
        SimpleBaseline(cfg)
    with pytest.raises(ValueError, match="semi_train_cfg.order must be one of 'code', 'paper'"):
        make(order='article')
    with pytest.raises(ValueError, match='l2_sp and l2_sp_checkpoint belong together'):
        make(l2_sp=1e-4)
    views = batch()
    views['unsup_student'].pop('gt_semantic_seg')
    with pytest.raises(ValueError, match='learns from label maps in both branches'):
        make()(**views)
    one = {key: value[:1] for key, value in view('one', False).items()}
    with pytest.raises(ValueError, match='2 weak and 2 strong images'):
        make()(sup=one, unsup_student=batch()['unsup_student'])
