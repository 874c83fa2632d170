"""The faster parts swapped in and out of whole detectors: same figures, same weights, same checkpoints."""

import copy
import importlib.util
import pickle
from contextlib import nullcontext
from pathlib import Path

import detectors
import pytest
import torch
from mmcv import ConfigDict
from mmcv.runner import wrap_fp16_model
from mmdet.models import RPNHead, SingleRoIExtractor, build_detector
from torch import nn
from torch.testing import assert_close

from ssod.accel import MultilevelRoIExtractor, SampledRPNHead, accelerate
from ssod.accel.frozen_batchnorm import PLAIN
from ssod.apis.train import prepare_for_training
from ssod.core.hardware import as_on_a_gpu
from ssod.core.task import TASKS
from ssod.detection import SoftTeacher

FAST = {MultilevelRoIExtractor, SampledRPNHead, *PLAIN}
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)]


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """A GPU's convolutions in float32, not in TF32, whose 10 bits would be all the difference."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)


@pytest.fixture
def case():
    """The golden case: a detector, its weights, three branches."""
    path = Path(__file__).parents[1] / 'data/golden/case.py'
    spec = importlib.util.spec_from_file_location('golden_case', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def golden_model(case):
    """A SoftTeacher with the golden case's weights, in training mode."""
    cfg = dict(reg_filter=dict(type='JitterVarianceFilter', thr=1e9), rpn_filter=dict(type='ScoreFilter', thr=0.8))
    model = SoftTeacher(ConfigDict(case.detector_cfg()), cfg)
    case.fill(model)
    return model.train()


@pytest.fixture
def mask_rcnn_cfg(detector_cfg):
    """Of a Mask R-CNN with frozen BatchNorms."""
    cfg = detectors.mask_rcnn(detector_cfg)
    cfg.backbone.norm_cfg.requires_grad = False
    return cfg


@pytest.fixture
def mask_rcnn(mask_rcnn_cfg):
    return detectors.randomize(build_detector(mask_rcnn_cfg))


def to(device, value):
    """Tensors, nested in lists and dicts, on a device."""
    if isinstance(value, dict):
        return {key: to(device, item) for key, item in value.items()}
    if isinstance(value, list):
        return [to(device, item) for item in value]
    return value.to(device) if isinstance(value, torch.Tensor) else value


def losses_and_gradients(model, losses):
    """Every loss summed to a scalar, and the gradient of every trained parameter."""
    losses = {name: sum(map(torch.sum, value)) if isinstance(value, list) else value for name, value in losses.items()}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = sum(value for name, value in losses.items() if 'loss' in name)
    return losses, dict(zip(trained, torch.autograd.grad(total, list(trained.values())), strict=True))


def assert_equal_figures(plain, fast):
    """Losses to 1e-4, each gradient to 5e-4 of its length; no loss is zero."""
    (plain_losses, plain_grads), (fast_losses, fast_grads) = plain, fast
    assert_close(fast_losses, plain_losses, rtol=1e-4, atol=1e-5)
    assert all(value > 0 for name, value in plain_losses.items() if 'loss' in name)
    for name, grad in plain_grads.items():
        assert (fast_grads[name] - grad).norm() <= 5e-4 * grad.norm() + 1e-7, name


def kinds(model):
    return [type(module) for module in model.modules()]


@pytest.mark.parametrize('device', DEVICES)
def test_soft_teacher_has_the_same_losses_and_gradients(case, golden_model, device):
    model, batch = golden_model.to(device), to(device, case.branches())
    plain = losses_and_gradients(model, model(**batch))
    accelerate(model)
    assert {MultilevelRoIExtractor, SampledRPNHead} < set(kinds(model)) and plain[0]['num_pseudo_reg'] > 0
    assert_equal_figures(plain, losses_and_gradients(model, model(**batch)))


def test_a_gpus_path_has_the_same_losses_and_gradients(case, golden_model):
    """Every sample is taken and jittered boxes draw alike, so nothing but rounding is left."""
    model, batch = golden_model, case.branches()
    figures = []
    for gpu in (False, True):
        accelerate(model, on=gpu)
        torch.manual_seed(0)
        with as_on_a_gpu() if gpu else nullcontext():
            figures.append(losses_and_gradients(model, model(**batch)))
    assert_equal_figures(*figures)
    for name, value in figures[0][0].items():
        assert figures[1][0][name].item() == pytest.approx(value.item(), rel=2e-6, abs=1e-6), name


@pytest.mark.parametrize('device', DEVICES)
def test_mask_rcnn_has_the_same_losses_gradients_and_detections(mask_rcnn, make_batch, device):
    model, batch = mask_rcnn.to(device), to(device, detectors.with_masks(make_batch()['sup']))
    del batch['gt_semantic_seg']
    figures, found = [], []
    for on in (False, True):
        accelerate(model, on)
        figures.append(losses_and_gradients(model, model.forward_train(**batch)))
        model.eval()
        with torch.no_grad():
            found.append(model.simple_test(batch['img'], batch['img_metas'])[0])
        model.train()
    assert_equal_figures(*figures)
    (boxes, masks), (fast_boxes, fast_masks) = found
    assert sum(map(len, boxes)) > 3
    for own, fast in zip(boxes, fast_boxes, strict=True):
        assert_close(torch.tensor(fast), torch.tensor(own), rtol=1e-3, atol=1e-3)
    assert [len(own) for own in fast_masks] == [len(own) for own in masks]


def test_off_restores_every_module(golden_model):
    before = [(type(module), set(vars(module))) for module in golden_model.modules()]
    names = list(golden_model.state_dict())
    assert accelerate(golden_model) is golden_model
    counts = {kind: kinds(golden_model).count(kind) for kind in FAST}
    assert counts[MultilevelRoIExtractor] == counts[SampledRPNHead] == 2 and sum(counts.values()) == 4 + 2 * 40
    assert list(golden_model.state_dict()) == names
    once = kinds(golden_model)
    assert kinds(accelerate(golden_model)) == once  # a second time changes nothing
    accelerate(golden_model, on=False)
    assert [(type(module), set(vars(module))) for module in golden_model.modules()] == before


def test_training_asks_for_it_and_the_switch_leaves_mmdetections_classes(golden_model):
    before = kinds(golden_model)
    prepare_for_training(TASKS['detection'], golden_model, fast=False)
    assert kinds(golden_model) == before
    prepare_for_training(TASKS['detection'], golden_model, fast=True)
    assert FAST & set(kinds(golden_model))


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_compute_with_their_own_weights(mask_rcnn, make_view, duplicate):
    view = make_view(['u'])
    model = accelerate(mask_rcnn).eval()
    expected = outputs(model, view)
    twin = duplicate(model)
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            value.zero_()
    assert kinds(twin) == kinds(model)
    assert all(map(torch.equal, outputs(twin, view), expected))
    assert not any(map(torch.equal, outputs(model, view), expected))
    plain = outputs(accelerate(twin, on=False), view)
    assert_close(plain, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def outputs(model, view):
    """Feature maps, RPN scores and pooled features."""
    feats = model.extract_feat(view['img'])
    rois = torch.tensor([[0, 10.0, 10, 60, 50], [0, 0, 0, 128, 96]])
    return [*feats, *model.rpn_head(feats)[0], model.roi_head.bbox_roi_extractor(feats, rois)]


def test_a_plain_checkpoint_loads(mask_rcnn_cfg, mask_rcnn, make_view):
    view, weights = make_view(['u']), copy.deepcopy(mask_rcnn.eval().state_dict())
    expected = outputs(mask_rcnn, view)
    fast = accelerate(build_detector(mask_rcnn_cfg)).eval()
    fast.load_state_dict(weights)
    assert_close(outputs(fast, view), expected, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, weights[name]) for name, value in fast.state_dict().items())


def test_subclasses_are_left_alone():
    class OwnHead(RPNHead):
        pass

    class OwnExtractor(SingleRoIExtractor):
        pass

    class OwnConv(nn.Conv2d):
        pass

    class OwnNorm(nn.BatchNorm2d):
        pass

    anchors = dict(type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4])
    layer = dict(type='RoIAlign', output_size=7, sampling_ratio=0)
    model = nn.ModuleList([
        OwnHead(4, feat_channels=4, anchor_generator=anchors),
        OwnExtractor(layer, 4, [4]),
        nn.Sequential(OwnConv(3, 3, 1), nn.BatchNorm2d(3)),
        nn.Sequential(nn.Conv2d(3, 3, 1), OwnNorm(3)),
    ])  # fmt: skip
    before = kinds(model)
    assert kinds(accelerate(model)) == kinds(accelerate(model, on=False)) == before


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('device', DEVICES)
def test_plain_fp16_of_mmcv_pools_in_float32(mask_rcnn, make_view, device):
    """On a CPU the weights have to be half, too, for mmcv's autocast is CUDA's."""
    view = to(device, make_view(['u']))
    wrap_fp16_model(mask_rcnn)
    model = mask_rcnn.to(device, torch.float16 if device == 'cpu' else torch.float32).eval()
    counts = []
    for on in (False, True):
        accelerate(model, on)
        with torch.no_grad():
            boxes, masks = model(return_loss=False, img=[view['img']], img_metas=[view['img_metas']])[0]
        counts.append([len(own) for own in boxes])
        feats = model.extract_feat(view['img'].half())
        pooled = model.roi_head.bbox_roi_extractor(feats, torch.tensor([[0, 10.0, 10, 60, 50]], device=device))
        assert feats[0].dtype == pooled.dtype == torch.float16
    assert sum(counts[0]) > 3 and sum(counts[1]) == pytest.approx(sum(counts[0]), abs=2)
