"""Folded or not, the same network."""

import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from mmdet.models import build_backbone
from torch import nn
from torch.testing import assert_close

from ssod.accel import fold_frozen_batchnorm, unfold_batchnorm
from ssod.accel.frozen_batchnorm import PLAIN


def resnet(depth=18, requires_grad=False, norm_eval=True):
    norm = dict(type='BN', requires_grad=requires_grad)
    model = build_backbone(dict(type='ResNet', depth=depth, frozen_stages=1, norm_cfg=norm, norm_eval=norm_eval))
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -1, 1)
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    model.train()  # returns nothing
    return model


def outputs_and_gradients(model, images):
    outs = model(images)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(sum(out.square().mean() for out in outs), list(trained.values()))
    return outs, dict(zip(trained, grads, strict=True))


def kept_for_backward(model, images):
    """Numbers that the graph keeps besides parameters."""
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.setdefault(t.untyped_storage().data_ptr(), t) is None or t, lambda t: t
    ):
        outs = model(images)
    assert outs
    return sum(t.untyped_storage().nbytes() // 4 for pointer, t in kept.items() if pointer not in own)


@pytest.mark.parametrize('depth', [18, 50])
def test_same_features_and_gradients(depth):
    plain = resnet(depth)
    folded = copy.deepcopy(plain)
    fold_frozen_batchnorm(folded)
    images = torch.randn(2, 3, 64, 64)
    (outs, grads), (folded_outs, folded_grads) = (outputs_and_gradients(m, images) for m in (plain, folded))
    assert_close(folded_outs, outs, rtol=1e-4, atol=1e-4)
    for name, grad in grads.items():
        assert (folded_grads[name] - grad).norm() <= 1e-4 * grad.norm(), name
    assert folded.state_dict().keys() == plain.state_dict().keys()


def test_the_graph_keeps_far_less():
    plain, folded = resnet(50), resnet(50)
    fold_frozen_batchnorm(folded)
    images = torch.randn(2, 3, 128, 128)
    assert kept_for_backward(folded, images) < 0.7 * kept_for_backward(plain, images)


@pytest.mark.parametrize('requires_grad, norm_eval', [(True, True), (True, False), (False, False)])
def test_a_batchnorm_that_trains_is_left_alone(requires_grad, norm_eval):
    plain = resnet(requires_grad=requires_grad, norm_eval=norm_eval)
    folded = copy.deepcopy(plain)
    fold_frozen_batchnorm(folded)
    images = torch.randn(2, 3, 64, 64)
    (outs, grads), (folded_outs, folded_grads) = (outputs_and_gradients(m, images) for m in (plain, folded))
    # The stage that frozen_stages freezes is folded all the same.
    assert_close(folded_outs, outs, rtol=1e-4, atol=1e-4)
    assert_close(folded_grads, grads, rtol=1e-2, atol=1e-3)
    assert_close(dict(folded.named_buffers()), dict(plain.named_buffers()), rtol=1e-4, atol=1e-4)


def test_weights_loaded_later_count():
    model = resnet()
    fold_frozen_batchnorm(model)
    images = torch.randn(1, 3, 64, 64)
    other = resnet()
    nn.init.constant_(other.layer4[0].bn2.running_mean, 3.0)
    model.load_state_dict(other.state_dict())
    assert_close(model(images), other(images), rtol=1e-4, atol=1e-4)


def test_a_copy_is_folded_with_its_own_weights():
    model = resnet()
    fold_frozen_batchnorm(model)
    twin = copy.deepcopy(model)
    before = twin(torch.ones(1, 3, 64, 64))
    nn.init.zeros_(model.layer4[1].conv2.weight)
    assert_close(twin(torch.ones(1, 3, 64, 64)), before)


def test_a_convolution_with_a_bias():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).requires_grad_(False).eval()
    model[1].running_mean.uniform_()
    expected = model(torch.ones(1, 3, 2, 2))
    fold_frozen_batchnorm(model)
    assert_close(model(torch.ones(1, 3, 2, 2)), expected)


def test_a_convolution_that_modules_share_keeps_each_ones_batchnorm():
    model = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)) for _ in range(2)])
    model[1][0] = model[0][0]
    model[1][1].running_mean.fill_(2.0)
    model.requires_grad_(False).eval()
    expected = [path(torch.ones(1, 3, 2, 2)) for path in model]
    fold_frozen_batchnorm(model)
    assert_close([path(torch.ones(1, 3, 2, 2)) for path in model], expected)


def test_a_batchnorm_that_modules_share_does_its_own_work():
    """It follows a convolution in one of them, and nothing in the other."""
    model = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), nn.Sequential(nn.ReLU())])
    model[1].append(model[0][1])
    model[0][1].running_mean.fill_(2.0)
    model.requires_grad_(False).eval()
    expected = [path(torch.ones(1, 3, 2, 2)) for path in model]
    fold_frozen_batchnorm(model)
    assert_close([path(torch.ones(1, 3, 2, 2)) for path in model], expected)


def test_a_module_that_normalizes_first():
    model = ConvModule(4, 4, 1, norm_cfg=dict(type='BN'), order=('norm', 'act', 'conv')).requires_grad_(False).eval()
    model.bn.running_mean.uniform_()
    expected = model(torch.ones(1, 4, 2, 2))
    fold_frozen_batchnorm(model)
    assert_close(model(torch.ones(1, 4, 2, 2)), expected)


def test_only_plain_convolutions_are_folded():
    model = nn.Sequential(nn.ConvTranspose2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    fold_frozen_batchnorm(model.requires_grad_(False))
    assert not any(type(module) in PLAIN for module in model)


def test_unfolded_each_has_its_own_work_again():
    model = resnet()
    before = [(type(module), set(vars(module))) for module in model.modules()]
    fold_frozen_batchnorm(model)
    assert sum(type(module) in PLAIN for module in model.modules()) == 40  # all 20 pairs of a ResNet-18
    unfold_batchnorm(model)
    assert [(type(module), set(vars(module))) for module in model.modules()] == before
