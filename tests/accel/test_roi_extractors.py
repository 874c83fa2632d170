"""The same features and gradients as the host's extractor, RoI by RoI."""

import pytest
import torch
from mmdet.models import build_roi_extractor
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor as HostSingleRoIExtractor
from torch.testing import assert_close

from ssod.accel import SingleRoIExtractor, roi_extractors

CFG = dict(
    roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=0, use_torchvision=True),
    out_channels=2,
    featmap_strides=[4, 8, 16, 32],
)


@pytest.fixture(params=[True, False], ids=['at_once', 'level_by_level'], autouse=True)
def way(request, monkeypatch):
    """All levels at once, as on a CPU, and level by level, as on a GPU."""
    if not request.param:
        monkeypatch.setattr(roi_extractors, 'is_aligned_mean', lambda layer: False)


@pytest.fixture
def feats():
    torch.manual_seed(0)
    return [torch.randn(2, 2, 64 // 2**level, 96 // 2**level, requires_grad=True) for level in range(4)]


def rois_of_sides(*sides):
    """One RoI a side length, alternately on the two images."""
    return torch.tensor([[i % 2, 3.0 + i, 5.0, 3.0 + i + side, 5.0 + side] for i, side in enumerate(sides)])


def features_and_gradients(extractor, feats, rois, **kwargs):
    out = extractor(feats, rois, **kwargs)
    weights = torch.arange(out.numel(), dtype=torch.float).view(out.shape)
    return out, torch.autograd.grad((out * weights).sum(), feats)


@pytest.mark.parametrize(
    'sides',
    [
        (200, 20, 500, 130, 60, 21, 201, 900),  # all levels, out of order
        (20, 30, 40),  # one level alone
        (500, 20),  # levels without a RoI between two with one
    ],
)
@pytest.mark.parametrize('scale', [None, 1.5])
def test_equals_the_hosts(feats, sides, scale):
    ours = features_and_gradients(SingleRoIExtractor(**CFG), feats, rois_of_sides(*sides), roi_scale_factor=scale)
    host = features_and_gradients(HostSingleRoIExtractor(**CFG), feats, rois_of_sides(*sides), roi_scale_factor=scale)
    assert_close(ours, host)


def test_every_level_has_a_gradient_without_any_roi(feats):
    out, grads = features_and_gradients(SingleRoIExtractor(**CFG), feats, torch.zeros(0, 5))
    assert out.shape == (0, 2, 3, 3)
    assert [grad.shape for grad in grads] == [level.shape for level in feats]
    assert all((grad == 0).all() for grad in grads)


def test_a_roi_turned_inside_out_has_no_features(feats):
    """Jittering a box of less than a pixel can give one; its area, and so its level, is not a number."""
    rois = torch.tensor([[0, 5.0, 5, 45, 45], [1, 6.0, 2, 5.5, 50]])
    out = SingleRoIExtractor(**CFG)(feats, rois)
    assert_close(out, HostSingleRoIExtractor(**CFG)(feats, rois))
    assert (out[1] == 0).all() and (out[0] != 0).any()


def test_an_operator_is_not_asked_for_no_roi(feats):
    """mmcv's CUDA kernels cannot start for none."""
    extractor, asked = SingleRoIExtractor(**CFG), []
    for layer in extractor.roi_layers:
        layer.register_forward_hook(lambda _, args, out: asked.append(len(args[1])))
    out, grads = features_and_gradients(extractor, feats, rois_of_sides(500, 20))
    assert out.shape == (2, 2, 3, 3) and (grads[1] == 0).all() and (grads[0] != 0).any()
    assert 0 not in asked


@pytest.mark.parametrize('use_torchvision', [True, False])
def test_maps_in_channels_last(feats, use_torchvision):
    cfg = {**CFG, 'roi_layer': dict(CFG['roi_layer'], use_torchvision=use_torchvision)}
    rois = rois_of_sides(200, 20, 500, 130)
    host = features_and_gradients(HostSingleRoIExtractor(**cfg), feats, rois)
    moved = [level.detach().to(memory_format=torch.channels_last).requires_grad_() for level in feats]
    assert_close(features_and_gradients(SingleRoIExtractor(**cfg), moved, rois), host)


def test_one_level(feats):
    cfg = {**CFG, 'featmap_strides': [4]}
    rois = rois_of_sides(20, 300)
    assert_close(SingleRoIExtractor(**cfg)(feats[:1], rois), HostSingleRoIExtractor(**cfg)(feats[:1], rois))


def test_configs_that_name_the_hosts_get_ours():
    assert type(build_roi_extractor(dict(type='SingleRoIExtractor', **CFG))) is SingleRoIExtractor
