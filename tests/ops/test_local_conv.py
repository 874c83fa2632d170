"""Masked convolution and CARAFE, against a convolution and a plain loop."""

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F
from operator_cases import leaf, uniform, with_grads

pytestmark = pytest.mark.usefixtures('torchvision_ops')


@pytest.mark.parametrize('kernel, padding', [((1, 1), (0, 0)), ((3, 3), (1, 1)), ((3, 5), (1, 2))])
def test_masked_convolution_is_a_convolution_where_the_mask_is(kernel, padding):
    layer = mmcv.ops.MaskedConv2d(3, 5, kernel, padding=padding)
    x, mask = uniform(1, 1, 3, 7, 9), uniform(2, 1, 7, 9) > 0.3
    with torch.no_grad():
        output = layer(x, mask.float())
        expected = F.conv2d(x, layer.weight, layer.bias, padding=padding) * mask
    assert 5 < mask.sum() < 60
    torch.testing.assert_close(output, expected)
    assert not layer(x, torch.zeros(1, 7, 9)).any()


def carafe_by_hand(features, masks, kernel, groups, scale):
    batch, channels, height, width = features.shape
    padded = F.pad(features, [kernel // 2] * 4)
    output = torch.zeros(batch, channels, height * scale, width * scale)
    for c in range(channels):
        group = c // (channels // groups)
        for y in range(height * scale):
            for x in range(width * scale):
                patch = padded[:, c, y // scale : y // scale + kernel, x // scale : x // scale + kernel].flatten(1)
                weights = masks[:, group * kernel**2 : (group + 1) * kernel**2, y, x]
                output[:, c, y, x] = (patch * weights).sum(1)
    return output


@pytest.mark.parametrize('kernel, groups, scale', [(3, 1, 2), (5, 2, 2), (3, 2, 1)])
def test_carafe(kernel, groups, scale):
    def leaves():
        return dict(
            features=leaf(uniform(1, 2, 4, 3, 4)),
            masks=leaf(uniform(2, 2, groups * kernel**2, 3 * scale, 4 * scale)),
        )

    given, expected = leaves(), leaves()
    result = with_grads(mmcv.ops.carafe(*given.values(), kernel, groups, scale), **given)
    by_hand = with_grads(carafe_by_hand(*expected.values(), kernel, groups, scale), **expected)
    for key, tensor in by_hand.items():
        torch.testing.assert_close(result[key], tensor, msg=lambda m, k=key: f'{k}: {m}')
    torch.testing.assert_close(mmcv.ops.carafe_naive(*given.values(), kernel, groups, scale), by_hand['output'])
