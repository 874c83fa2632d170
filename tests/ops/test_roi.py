"""RoIAlign's types and layouts, and RoIPool against a plain loop."""

import math

import mmcv.ops
import pytest
import torch
from operator_cases import CUDA_ONLY, leaf, roi_align, rois, uniform, with_grads

pytestmark = pytest.mark.usefixtures('torchvision_ops')


def test_max_is_refused_by_name():
    with pytest.raises(RuntimeError, match="pool_mode='max' needs the compiled mmcv-full"):
        mmcv.ops.RoIAlign((3, 3), pool_mode='max')(uniform(1, 2, 3, 14, 18), rois(4))


@pytest.mark.parametrize('dtype, tolerance', [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
def test_roi_align_in_half_precision(dtype, tolerance):
    expected = roi_align(sampling_ratio=2, aligned=True)
    given = roi_align(sampling_ratio=2, aligned=True, dtype=dtype)
    assert given['output'].dtype == given['features'].dtype == dtype
    # RoIs lie on multiples of 1/256 at best in the short types: compare in the mean.
    assert (given['output'].float() - expected['output']).abs().mean() < 10 * tolerance
    assert given['features'].float().sum().item() == pytest.approx(expected['features'].sum().item(), abs=0.5)


def test_bfloat16_is_computed_in_float32():
    features, places = uniform(1, 2, 3, 14, 18).bfloat16(), rois(6).bfloat16()
    layer = mmcv.ops.RoIAlign((3, 4), spatial_scale=0.25)
    assert torch.equal(layer(features, places), layer(features.float(), places.float()).bfloat16())


def test_roi_align_of_a_map_in_channels_last():
    features = uniform(1, 2, 3, 14, 18)
    layer = mmcv.ops.RoIAlign((3, 4), spatial_scale=0.25)
    expected = with_grads(layer(leaf(features.clone()), rois(6)))['output']
    assert torch.equal(layer(features.to(memory_format=torch.channels_last), rois(6)), expected)


def roi_pool_by_hand(features, places, size, scale):
    """mmcv's kernel, bin by bin."""
    height, width = features.shape[2:]
    output = torch.zeros(len(places), features.shape[1], *size)
    for r, (image, x1, y1, x2, y2) in enumerate(places.tolist()):
        x, y = x1 * scale, y1 * scale
        step_x, step_y = ((x2 + 1) * scale - x) / size[1], ((y2 + 1) * scale - y) / size[0]
        for i in range(size[0]):
            for j in range(size[1]):
                rows = slice(
                    *(min(max(v, 0), height) for v in (math.floor(i * step_y + y), math.ceil((i + 1) * step_y + y)))
                )
                columns = slice(
                    *(min(max(v, 0), width) for v in (math.floor(j * step_x + x), math.ceil((j + 1) * step_x + x)))
                )
                pixels = features[int(image), :, rows, columns].flatten(1)
                if pixels.numel():
                    output[r, :, i, j] = pixels.amax(1)
    return output


def test_roi_pool():
    result = CUDA_ONLY['roi_pool']()
    features = leaf(uniform(1, 2, 3, 14, 18))
    expected = with_grads(roi_pool_by_hand(features, rois(6), (3, 4), 0.25), features=features)
    assert torch.equal(result['output'], expected['output'])
    torch.testing.assert_close(result['features'], expected['features'])


def test_roi_pool_gives_a_tie_to_the_first_pixel():
    features = leaf(torch.ones(1, 1, 6, 6))
    mmcv.ops.RoIPool(1, 1.0)(features, torch.tensor([[0.0, 1, 2, 4, 5]])).backward(torch.ones(1, 1, 1, 1))
    assert features.grad.nonzero().tolist() == [[0, 0, 2, 1]]


def test_roi_pool_without_rois():
    result = CUDA_ONLY['roi_pool_no_rois']()
    assert result['output'].shape == (0, 3, 3, 4)
    assert not result['features'].any()
