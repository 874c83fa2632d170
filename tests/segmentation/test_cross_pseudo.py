"""Cross Pseudo Supervision: each network on the other's labels, mixed and not; which network predicts; checkpoints."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ssod.segmentation.cross_pseudo import CrossPseudoSupervision
from ssod.segmentation.cutmix import box_masks
from ssod.segmentation.maps import logits_of
from ssod.segmentation.trial import tiny_segmentor, view


def make(test=None, **settings):
    torch.manual_seed(0)
    cfg = tiny_segmentor()
    cfg.decode_head.dropout_ratio = 0
    model = CrossPseudoSupervision(cfg, semi_train_cfg=settings, semi_test_cfg=test).train()
    for network in model.student.networks.values():
        network.decode_head.conv_seg.weight.data.normal_()
    return model


def batch():
    unlabeled = view('unlabeled', False)
    unlabeled.pop('gt_semantic_seg')
    return dict(sup=view('labeled', False), unsup_student=unlabeled)


KEYS = [f'sup_{name}.decode.{key}' for name in ('first', 'second') for key in ('loss_ce', 'acc_seg')]
KEYS += ['unsup_loss_seg', 'network_agreement']


def test_without_cutmix_all_images_supervise_across():
    model, views = make(cutmix=False, unsup_weight=1.5), batch()
    twins = copy.deepcopy(model.student)
    losses = model(**views)
    assert list(losses) == KEYS
    sup, unsup = ([logits_of(net, views[name]['img']) for net in twins.networks.values()] for name in views)
    first, second = (torch.cat(pair) for pair in zip(sup, unsup, strict=True))
    cross = F.cross_entropy(first, second.argmax(1)) + F.cross_entropy(second, first.argmax(1))
    torch.testing.assert_close(losses['unsup_loss_seg'], 1.5 * cross)
    labels = views['sup']['gt_semantic_seg'][:, 0]
    for name, logits in zip(('first', 'second'), sup, strict=True):
        torch.testing.assert_close(losses[f'sup_{name}.decode.loss_ce'], F.cross_entropy(logits, labels))
    same = (first.argmax(1) == second.argmax(1)).float().mean() * 100
    torch.testing.assert_close(losses['network_agreement'], same)


@pytest.mark.parametrize('same_image', [False, True])
def test_with_cutmix_mixed_images_have_mixed_labels(same_image):
    model, views = make(same_image=same_image), batch()
    other = {**views['unsup_student'], 'img': views['unsup_student']['img'].flip(-1)}
    twins, masks = copy.deepcopy(model.student), None
    np.random.seed(5)
    losses = model(**views, unsup_teacher=other if same_image else None)
    np.random.seed(5)
    masks = torch.from_numpy(box_masks(2, (48, 64)))
    u0 = views['unsup_student']['img']
    u1 = other['img'] if same_image else u0[[1, 0]]
    expected = 0
    labels = []
    for net in twins.networks.values():
        with torch.no_grad():
            l0 = logits_of(net, u0).argmax(1)
            l1 = logits_of(net, u1).argmax(1)
        labels.append(torch.where(masks[:, 0] > 0, l1, l0))
    for net, target in zip(twins.networks.values(), labels[::-1], strict=True):
        expected = expected + F.cross_entropy(logits_of(net, u0 * (1 - masks) + u1 * masks), target)
    torch.testing.assert_close(losses['unsup_loss_seg'], expected)


@pytest.mark.parametrize('cutmix', [False, True])
@pytest.mark.parametrize('names', [['sup'], ['unsup_student'], []])
def test_a_missing_branch_leaves_keys_and_gradients(cutmix, names):
    model, views = make(cutmix=cutmix), batch()
    losses = model(**{name: views[name] for name in names})
    assert list(losses) == KEYS
    model._parse_losses(losses)[0].backward()
    grads = [p.grad for p in model.student.parameters()]
    assert all(grad is not None for grad in grads) or names == ['unsup_student']


def test_networks_differ_and_each_or_their_mean_predicts():
    views = batch()
    image, metas = views['sup']['img'][:1], views['sup']['img_metas'][:1]
    found = {}
    for network in ('first', 'second', 'mean'):
        model = make(dict(network=network)).eval()
        found[network] = model.student.inference(image, metas, True)
        (labels,) = model(img=[image], img_metas=[metas], return_loss=False, rescale=True)
        assert (labels == found[network].argmax(1)[0].numpy()).all()
    assert (found['first'] - found['second']).abs().max() > 0.01
    torch.testing.assert_close(found['mean'], (found['first'] + found['second']) / 2)
    again = make()
    again.load_state_dict(model.state_dict())
    assert {key.split('.')[1] for key in model.state_dict()} == {'first', 'second'}


def test_the_labels_give_no_gradient():
    model, views = make(cutmix=False), batch()
    model.student.second.requires_grad_(False)
    losses = model(unsup_student=views['unsup_student'])
    losses['unsup_loss_seg'].backward()
    assert all(p.grad is None for p in model.student.second.parameters())
    assert model.student.first.decode_head.conv_seg.weight.grad.any()


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match='without cutmix it has no effect'):
        make(cutmix=False, same_image=True)
    with pytest.raises(ValueError, match="network must be one of 'first', 'second', 'mean'"):
        make(dict(network='third'))
    with pytest.raises(ValueError, match='the branch unsup_teacher, which is not there'):
        make(same_image=True)(**batch())
