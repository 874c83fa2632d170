"""Products that are kept, as a GPU computes with them: never those of other weights."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ssod.accel import fold_frozen_batchnorm
from ssod.core.hardware import as_on_a_gpu


@pytest.fixture(autouse=True)
def gpu_path():
    with as_on_a_gpu():
        yield


def pair(trained=True):
    """A network with its BatchNorms, and the same with them folded: one convolution has a bias."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5))
    for norm in (plain[1], plain[3]):
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            nn.init.uniform_(value, 0.5, 1.5)
    plain.eval().requires_grad_(trained)
    plain[1].requires_grad_(False)
    plain[3].requires_grad_(False)
    folded = copy.deepcopy(plain)
    fold_frozen_batchnorm(folded)
    return plain, folded


def results(model, images):
    """Outputs of two passes, as of labeled and unlabeled images, and the gradients of both together."""
    outs = [model(images), model(images * 2)]
    trained = [p for p in model.parameters() if p.requires_grad]
    return outs, torch.autograd.grad(sum(out.square().sum() for out in outs), trained)


def test_two_passes_share_the_products():
    plain, folded = pair()
    images = torch.randn(2, 3, 8, 8)
    assert_close(results(folded, images), results(plain, images))


def test_another_backward_pass_through_the_same_products():
    """Gradients are accumulated over iterations: the weights stay, the graph of the first is gone."""
    plain, folded = pair()
    for _ in range(2):
        for model in (plain, folded):
            model(torch.ones(1, 3, 8, 8)).square().sum().backward()
    for own, expected in zip(folded.parameters(), plain.parameters(), strict=True):
        assert_close(own.grad, expected.grad)


@pytest.mark.parametrize('change', ['step', 'norm', 'load', 'average'])
def test_changed_weights_are_folded_anew(change):
    images = torch.ones(1, 3, 8, 8)
    plain, folded = pair(trained=change != 'average')
    before = folded(images)
    for model in (plain, folded):
        with torch.no_grad():
            if change == 'step':
                model[0].weight.mul_(1.5)
            elif change == 'norm':
                model[3].running_var.add_(1)
            elif change == 'load':
                model.load_state_dict({name: value * 1.25 for name, value in model.state_dict().items()})
            else:
                torch._foreach_lerp_([p for p in model.parameters()], [p * 2 for p in model.parameters()], 0.5)
    assert_close(folded(images), plain(images))
    assert not torch.allclose(folded(images), before)


def test_a_pass_without_gradients_does_not_take_them_from_the_next():
    plain, folded = pair()
    with torch.no_grad():
        folded(torch.ones(1, 3, 8, 8))
    assert_close(results(folded, torch.ones(1, 3, 8, 8)), results(plain, torch.ones(1, 3, 8, 8)))


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_fold_their_own(duplicate):
    _, folded = pair()
    expected = folded(torch.ones(1, 3, 8, 8))
    twin = duplicate(folded)
    with torch.no_grad():
        for value in folded.parameters():
            value.zero_()
    assert_close(twin(torch.ones(1, 3, 8, 8)), expected)
