"""The same features and gradients as MMDetection's extractor, RoI by RoI."""

import pytest
import torch
from mmcv.runner import wrap_fp16_model
from mmdet.models import SingleRoIExtractor, build_roi_extractor
from torch.testing import assert_close

from ssod.accel import MultilevelRoIExtractor, roi_extractors

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
    weights = torch.arange(out.numel(), dtype=torch.float, device=out.device).view(out.shape)
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
def test_equals_mmdetections(feats, sides, scale):
    ours = features_and_gradients(MultilevelRoIExtractor(**CFG), feats, rois_of_sides(*sides), roi_scale_factor=scale)
    theirs = features_and_gradients(SingleRoIExtractor(**CFG), feats, rois_of_sides(*sides), roi_scale_factor=scale)
    assert_close(ours, theirs)


def test_every_level_has_a_gradient_without_any_roi(feats):
    out, grads = features_and_gradients(MultilevelRoIExtractor(**CFG), feats, torch.zeros(0, 5))
    assert out.shape == (0, 2, 3, 3)
    assert [grad.shape for grad in grads] == [level.shape for level in feats]
    assert all((grad == 0).all() for grad in grads)


def test_a_roi_turned_inside_out_has_no_features(feats):
    """Jittering a box of less than a pixel can give one; its area, and so its level, is not a number."""
    rois = torch.tensor([[0, 5.0, 5, 45, 45], [1, 6.0, 2, 5.5, 50]])
    out = MultilevelRoIExtractor(**CFG)(feats, rois)
    assert_close(out, SingleRoIExtractor(**CFG)(feats, rois))
    assert (out[1] == 0).all() and (out[0] != 0).any()


def test_an_operator_is_not_asked_for_no_roi(feats):
    """mmcv's CUDA kernels cannot start for none."""
    extractor, asked = MultilevelRoIExtractor(**CFG), []
    for layer in extractor.roi_layers:
        layer.register_forward_hook(lambda _, args, out: asked.append(len(args[1])))
    out, grads = features_and_gradients(extractor, feats, rois_of_sides(500, 20))
    assert out.shape == (2, 2, 3, 3) and (grads[1] == 0).all() and (grads[0] != 0).any()
    assert 0 not in asked


@pytest.mark.parametrize('use_torchvision', [True, False])
def test_maps_in_channels_last(feats, use_torchvision):
    cfg = {**CFG, 'roi_layer': dict(CFG['roi_layer'], use_torchvision=use_torchvision)}
    rois = rois_of_sides(200, 20, 500, 130)
    theirs = features_and_gradients(SingleRoIExtractor(**cfg), feats, rois)
    moved = [level.detach().to(memory_format=torch.channels_last).requires_grad_() for level in feats]
    assert_close(features_and_gradients(MultilevelRoIExtractor(**cfg), moved, rois), theirs)


def test_one_level(feats):
    cfg = {**CFG, 'featmap_strides': [4]}
    rois = rois_of_sides(20, 300)
    assert_close(MultilevelRoIExtractor(**cfg)(feats[:1], rois), SingleRoIExtractor(**cfg)(feats[:1], rois))


def test_a_config_may_name_it():
    assert type(build_roi_extractor(dict(type='MultilevelRoIExtractor', **CFG))) is MultilevelRoIExtractor


def test_features_in_half_precision_are_pooled_in_float32(feats):
    """As by MMDetection's: mmcv's ``force_fp32``, which a model of ``wrap_fp16_model`` switches on."""
    half, rois, pooled = [level.half() for level in feats], rois_of_sides(200, 20, 500), []
    for kind in (MultilevelRoIExtractor, SingleRoIExtractor):
        extractor = kind(**CFG)
        wrap_fp16_model(extractor)
        pooled.append(extractor(half, rois))
    assert_close(*pooled)
    assert pooled[0].dtype == torch.float16
    assert_close(
        pooled[0].float(), MultilevelRoIExtractor(**CFG)([level.float() for level in half], rois), atol=2e-3, rtol=1e-3
    )


@pytest.mark.gpu
@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('sides', [(200, 20, 500, 130), (500, 20), ()])
def test_a_gpu_pools_as_a_cpu(feats, sides, memory_format):
    """Without any RoI, too, and for levels without one: mmcv's CUDA kernels cannot start for none."""
    rois = rois_of_sides(*sides) if sides else torch.zeros(0, 5)
    moved = [level.detach().cuda().to(memory_format=memory_format).requires_grad_() for level in feats]
    out, grads = features_and_gradients(MultilevelRoIExtractor(**CFG), feats, rois)
    on_gpu, grads_on_gpu = features_and_gradients(MultilevelRoIExtractor(**CFG).cuda(), moved, rois.cuda())
    assert_close(on_gpu.cpu(), out, atol=1e-5, rtol=1e-4)
    assert_close([grad.cpu() for grad in grads_on_gpu], list(grads), atol=1e-4, rtol=1e-4)
