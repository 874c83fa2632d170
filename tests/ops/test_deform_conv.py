"""What the recorded cases of deformable convolution do not show."""

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F
from operator_cases import convolution, deform_conv, leaf, modulated_deform_conv, uniform

pytestmark = pytest.mark.usefixtures('torchvision_ops')


@pytest.mark.parametrize('operator', [deform_conv, modulated_deform_conv])
def test_bfloat16_keeps_its_type(operator):
    given, expected = operator('groups', torch.bfloat16), operator('groups')
    for key, value in given.items():
        assert value.dtype == torch.bfloat16
        scale = expected[key].abs().max()
        assert (value.float() - expected[key]).abs().mean() < 0.03 * scale, key


def test_without_offsets_it_is_a_convolution():
    x, weight = uniform(1, 2, 4, 8, 9), uniform(2, 6, 4, 3, 3)
    offset = torch.zeros(2, 18, 8, 9)
    torch.testing.assert_close(mmcv.ops.deform_conv2d(x, offset, weight, 1, 1), F.conv2d(x, weight, padding=1))


def test_offsets_are_pairs_of_y_and_x():
    x = uniform(1, 1, 1, 6, 6)
    offset = torch.zeros(1, 2, 6, 6)
    offset[:, 0] = 1  # one row down
    shifted = mmcv.ops.deform_conv2d(x, offset, torch.ones(1, 1, 1, 1))
    assert torch.equal(shifted[0, 0, :5], x[0, 0, 1:])
    assert not shifted[0, 0, 5].any()


def test_gradients_by_finite_differences():
    leaves, geometry = convolution('plain', torch.float64, 0.9)
    assert torch.autograd.gradcheck(lambda *x: mmcv.ops.modulated_deform_conv2d(*x, *geometry), tuple(leaves.values()))
    three = tuple(leaves[key] for key in ('input', 'offset', 'weight'))
    assert torch.autograd.gradcheck(lambda *x: mmcv.ops.deform_conv2d(*x, *geometry), three)


def test_a_second_backward_pass_has_gradients_of_its_own():
    """The weight's gradient waits between two calls of one pass, and must not wait for the next pass."""
    leaves, geometry = convolution('plain', torch.float32, 2.0)
    three = [leaves[key] for key in ('input', 'offset', 'weight')]
    output = mmcv.ops.deform_conv2d(*three, *geometry)
    first = torch.autograd.grad(output.sum(), three, retain_graph=True)
    torch.autograd.grad(output.sum() * 7, three[0], retain_graph=True)
    (weight,) = torch.autograd.grad(output.sum() * 3, three[2], retain_graph=True)
    torch.testing.assert_close(3 * first[2], weight)
    second = torch.autograd.grad(output.sum() * 3, three)
    for one, three_times in zip(first, second, strict=True):
        torch.testing.assert_close(3 * one, three_times)


def test_under_autocast_it_computes_in_the_given_type():
    x, weight = leaf(uniform(1, 2, 4, 8, 9)), leaf(uniform(2, 6, 4, 3, 3))
    offset = torch.zeros(2, 18, 8, 9, dtype=torch.float16)
    with torch.autocast('cpu', torch.float16):
        output = mmcv.ops.deform_conv2d(x, offset, weight, 1, 1)
    assert output.dtype == torch.float16
    output.sum().backward()
    assert x.grad.dtype == torch.float32
    assert torch.isfinite(x.grad).all() and x.grad.any()
