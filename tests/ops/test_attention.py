"""Deformable attention against mmcv's slow form of it; PSANet's masks are among the recorded cases."""

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch
from operator_cases import leaf, uniform, with_grads

SHAPES = torch.tensor([[6, 4], [3, 2], [1, 1]])
STARTS = torch.tensor([0, 24, 30])


def operands(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    locations = uniform(2, 2, 5, 4, 3, 2, 2, low=-0.2, high=1.2)  # a part of the points lies outside
    weights = uniform(3, 2, 5, 4, 6, low=-2, high=2).softmax(-1).view(2, 5, 4, 3, 2)
    value = uniform(1, 2, 31, 4, 8)
    return dict(value=leaf(value, dtype), locations=leaf(locations, dtype), weights=leaf(weights, dtype))


def fast(value, locations, weights):
    return MultiScaleDeformableAttnFunction.apply(value, SHAPES, STARTS, locations, weights, 64)


def test_output_and_gradients_are_those_of_the_slow_form(torchvision_ops):
    ours, theirs = operands(), operands()
    given = with_grads(fast(*ours.values()), **ours)
    value, locations, weights = theirs.values()
    expected = with_grads(multi_scale_deformable_attn_pytorch(value, SHAPES, locations, weights), **theirs)
    assert given['output'].shape == (2, 5, 32)
    for key, tensor in expected.items():
        torch.testing.assert_close(given[key], tensor, msg=lambda m, k=key: f'{k}: {m}')


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype, torchvision_ops):
    ours = operands(dtype)
    exact = {key: leaf(tensor.detach()) for key, tensor in ours.items()}
    given, expected = with_grads(fast(*ours.values()), **ours), with_grads(fast(*exact.values()), **exact)
    for key, tensor in given.items():
        assert tensor.dtype == dtype
        scale = expected[key].abs().max().item()
        torch.testing.assert_close(tensor.float(), expected[key], rtol=0, atol=0.01 * scale)


def test_no_queries(torchvision_ops):
    value, locations, weights = operands().values()
    assert fast(value, locations[:, :0], weights[:, :0]).shape == (2, 0, 32)
