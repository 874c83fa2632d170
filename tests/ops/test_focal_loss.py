"""Focal losses, against autograd on the formula and MMDetection's own."""

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss
from operator_cases import leaf, uniform

pytestmark = pytest.mark.usefixtures('torchvision_ops')

CLASSES = 4
TARGET = torch.tensor([0, 3, 4, 1, 4, 2])  # 4 is the background
WEIGHT = torch.tensor([0.5, 2.0, 1.5, 3.0])


def logits() -> torch.Tensor:
    return leaf(uniform(1, len(TARGET), CLASSES, low=-4, high=4))


@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (1.5, 0.6), (0.0, 0.5)])
def test_sigmoid_focal_loss_is_that_of_mmdet(gamma, alpha):
    ours, theirs = logits(), logits()
    loss = mmcv.ops.sigmoid_focal_loss(ours, TARGET, gamma, alpha, None, 'none')
    one_hot = F.one_hot(TARGET, CLASSES + 1)[:, :CLASSES]
    expected = py_sigmoid_focal_loss(theirs, one_hot, gamma=gamma, alpha=alpha, reduction='none')
    torch.testing.assert_close(loss, expected)
    factors = uniform(3, *loss.shape)
    (loss * factors).sum().backward()
    (expected * factors).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_sigmoid_focal_loss_with_weights():
    x = logits()
    loss = mmcv.ops.sigmoid_focal_loss(x, TARGET, 2.0, 0.25, WEIGHT, 'mean')
    rows = mmcv.ops.sigmoid_focal_loss(x, TARGET, 2.0, 0.25, None, 'none').sum(1)
    factors = torch.tensor([0.5, 3.0, 1.0, 2.0, 1.0, 1.5])  # the background has no weight of its own
    torch.testing.assert_close(loss, (rows * factors).sum() / len(TARGET))
    (grad,) = torch.autograd.grad(loss, x)
    (expected,) = torch.autograd.grad((rows * factors).sum() / len(TARGET), x)
    torch.testing.assert_close(grad, expected)


@pytest.mark.parametrize('weight', [None, WEIGHT])
def test_softmax_focal_loss(weight):
    target = torch.tensor([0, 3, 1, 1, 2, 0])
    ours, theirs = logits(), logits()
    loss = mmcv.ops.softmax_focal_loss(ours, target, 1.5, 0.3, weight, 'sum')
    p = theirs.softmax(1)[torch.arange(len(target)), target]
    expected = (-0.3 * (1 - p) ** 1.5 * p.log() * (1 if weight is None else weight[target])).sum()
    torch.testing.assert_close(loss, expected)
    (2 * loss).backward()
    (2 * expected).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_softmax_focal_loss_leaves_negative_labels_out():
    x = logits()
    target = torch.tensor([0, -1, 1, 1, -1, 0])
    rows = mmcv.ops.softmax_focal_loss(x.detach(), target, 2.0, 0.25, None, 'none')
    assert (rows == 0).tolist() == (target < 0).tolist()
    mmcv.ops.softmax_focal_loss(x, target, 2.0, 0.25, None, 'sum').backward()
    assert (x.grad == 0).all(1).tolist() == (target < 0).tolist()


@pytest.mark.parametrize('loss', [mmcv.ops.sigmoid_focal_loss, mmcv.ops.softmax_focal_loss])
def test_extreme_logits_and_no_rows_stay_finite(loss):
    x = leaf(torch.tensor([[200.0, -200, 0, 0], [-200, 200, 0, 0]]))
    value = loss(x, torch.tensor([0, 0]), 2.0, 0.25, None, 'sum')
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(x.grad).all()
    assert loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 2.0, 0.25, None, 'sum') == 0


def test_float16_logits():
    x = leaf(logits().detach(), torch.float16)
    loss = mmcv.ops.sigmoid_focal_loss(x, TARGET, 2.0, 0.25, None, 'sum')
    expected = mmcv.ops.sigmoid_focal_loss(x.detach().float(), TARGET, 2.0, 0.25, None, 'sum')
    assert loss.dtype == torch.float16
    assert loss.item() == pytest.approx(expected.item(), rel=2e-3)
