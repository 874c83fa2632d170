"""Which modules are under autocast, what they hand over, and that nothing stays behind."""

import copy
import pickle
from collections import OrderedDict, namedtuple

import detectors
import pytest
import torch
from mmdet.models import build_detector
from torch import nn

from ssod.hooks.autocast import autocast_networks, find_networks, to_float32

HALF, FULL = torch.bfloat16, torch.float32
Pair = namedtuple('Pair', 'first second')


def names(model):
    """Of the networks found, their names in the model."""
    known = {id(module): name for name, module in model.named_modules()}
    return [known[id(network)] for network, _ in find_networks(model)]


def test_networks_of_a_student_and_a_teacher(make_model):
    own = ['backbone', 'neck', 'rpn_head', 'roi_head.bbox_head']
    model = make_model()
    assert names(model) == [f'{half}.{name}' for half in ('student', 'teacher') for name in own]
    assert [name for name, (_, to_neck) in zip(own * 2, find_networks(model), strict=True) if to_neck] == [
        'backbone'
    ] * 2


def test_networks_in_lists_and_further_heads(detector_cfg):
    stages = [f'roi_head.{kind}_head{stage}' for kind in ('bbox', 'mask') for stage in ('', '.0', '.1', '.2')]
    htc = build_detector(detectors.hybrid_task_cascade(detector_cfg))
    assert sorted(names(htc)) == sorted(['backbone', 'neck', 'rpn_head', *stages, 'roi_head.semantic_head'])
    assert names(build_detector(detectors.retinanet(detector_cfg))) == ['backbone', 'neck', 'bbox_head']
    segmentor = nn.Module()
    segmentor.backbone, segmentor.decode_head = nn.Identity(), nn.Identity()
    segmentor.auxiliary_head = nn.ModuleList([nn.Identity()])
    segmentor.loss = nn.Identity()
    assert names(segmentor) == ['backbone', 'decode_head', 'auxiliary_head', 'auxiliary_head.0']
    assert not any(to_neck for _, to_neck in find_networks(segmentor))


@pytest.mark.parametrize('make', [detectors.mask_rcnn, detectors.hybrid_task_cascade, detectors.retinanet])
def test_matrix_work_is_half_and_roialign_and_losses_are_float32(detector_cfg, make_batch, make):
    model = detectors.randomize(build_detector(make(detector_cfg)))
    batch = detectors.with_masks(make_batch()['sup'])
    if make is detectors.retinanet:
        batch = {key: value for key, value in batch.items() if 'mask' not in key and 'seg' not in key}
    if make is detectors.mask_rcnn:
        del batch['gt_semantic_seg']
    expected = losses_of(model, batch)
    matrix, pooled = [], []
    for name, module in model.named_modules():
        if type(module) in (nn.Conv2d, nn.Linear) or 'Conv2d' in type(module).__name__:
            module.register_forward_hook(lambda module, args, out, name=name: matrix.append((name, out.dtype)))
        if 'RoIExtractor' in type(module).__name__:
            module.register_forward_hook(lambda module, args, out: pooled.extend([args[0][0].dtype, out.dtype]))
    handle = autocast_networks(model, 'cpu', HALF)
    losses = losses_of(model, batch)
    assert {name.split('.')[0] for name, _ in matrix} >= {'backbone', 'neck'}
    assert [name for name, dtype in matrix if dtype != HALF] == [] and set(pooled) <= {FULL}
    assert all(value.dtype == FULL for value in losses.values())
    for name, value in losses.items():
        if name.endswith('loss_rpn_cls'):  # where samples do not depend on rounding
            assert value.item() == pytest.approx(expected[name].item(), rel=0.05)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(p.grad.dtype == FULL and p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    handle.remove()
    again = losses_of(model, batch)
    assert all(torch.equal(again[name], value) for name, value in expected.items())


def losses_of(model, batch):
    losses = model.forward_train(**batch)
    return {k: sum(map(torch.mean, v)) if isinstance(v, list) else v.mean() for k, v in losses.items()}


class Net(nn.Module):
    """A backbone, and a head that gives what it is told to give."""

    def __init__(self, give=lambda x: x):
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.bbox_head = Head(give)

    def forward(self, x):
        return self.bbox_head(self.backbone(x))


class Head(nn.Module):
    def __init__(self, give):
        super().__init__()
        self.fc, self.give = nn.Linear(2, 2), give

    def forward(self, x):
        return self.give(self.fc(x))


def test_results_of_any_shape_become_float32():
    out = [{'a': torch.ones(1, dtype=HALF)}, Pair(torch.ones(1, dtype=torch.float16), None), (torch.ones(1).double(),)]
    result = to_float32(out)
    assert isinstance(result, list) and isinstance(result[1], Pair) and result[1].second is None
    assert result[0]['a'].dtype == result[1].first.dtype == FULL and result[2][0].dtype == torch.float64
    assert type(to_float32(OrderedDict(a=1))) is OrderedDict and to_float32('bf16') == 'bf16'
    assert to_float32(torch.ones(1, dtype=torch.long)).dtype == torch.long


def test_a_head_that_gives_a_named_tuple():
    model = Net(lambda x: Pair(x, [x]))
    with autocast_taken_back(model):
        result = model(torch.ones(1, 2))
    assert isinstance(result, Pair) and result.first.dtype == result.second[0].dtype == FULL


class autocast_taken_back:
    """As a context: autocast in it; after it neither hooks nor autocast are left."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.handle = autocast_networks(self.model, 'cpu', HALF)

    def __exit__(self, *error):
        assert not torch.is_autocast_enabled('cpu')
        self.handle.remove()
        self.handle.remove()
        for module in self.model.modules():
            assert not module._forward_hooks and not module._forward_pre_hooks
            assert not module._forward_hooks_always_called


def test_autocast_ends_with_the_network_also_by_an_error():
    def fail(x):
        assert torch.is_autocast_enabled('cpu')
        raise KeyError('head')

    model = Net(fail)
    with autocast_taken_back(model):
        with pytest.raises(KeyError, match='head'):
            model(torch.ones(1, 2))
        assert not torch.is_autocast_enabled('cpu')
        assert model.backbone(torch.ones(1, 2)).dtype == FULL


def test_a_hook_that_fails_before_ours_leaves_the_balance():
    def refuse(module, args):
        raise ValueError('first')

    model = Net()
    refusing = model.bbox_head.register_forward_pre_hook(refuse)
    handle = autocast_networks(model, 'cpu', HALF)
    with torch.autocast('cpu', torch.float16), pytest.raises(ValueError, match='first'):
        model(torch.ones(1, 2))
    assert not torch.is_autocast_enabled('cpu')
    refusing.remove()
    assert model(torch.ones(1, 2)).dtype == FULL
    handle.remove()


def test_a_network_inside_a_network_hands_over_half():
    model, seen = Net(), []
    model.bbox_head.backbone = nn.Linear(2, 2)
    model.bbox_head.give = lambda x: seen.append(model.bbox_head.backbone(x).dtype) or model.bbox_head.fc(x)
    for module in (model.bbox_head, model.bbox_head.backbone):
        wrapped = nn.Module()
        wrapped.neck = module
        autocast_networks(wrapped, 'cpu', HALF)
    model.neck = model.bbox_head  # the same module twice
    assert model.bbox_head(torch.ones(1, 2)).dtype == FULL and not torch.is_autocast_enabled('cpu')
    assert model.bbox_head.fc(torch.ones(1, 2)).dtype == FULL and len(seen) == 1


def test_a_backbone_hands_its_maps_to_the_neck_in_half():
    model = Net()
    model.neck = nn.Linear(2, 2)
    with autocast_taken_back(model):
        maps = model.backbone(torch.ones(1, 2))
        assert (maps.dtype, model.neck(maps).dtype) == (HALF, FULL)


@pytest.mark.parametrize('duplicate', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_computes_with_its_own_weights_and_keeps_its_autocast(make_model, make_view, duplicate):
    model, view = make_model().student, make_view(['u'])
    plain = [level.clone() for level in model.extract_feat(view['img'])]
    handle = autocast_networks(model, 'cpu', HALF)
    half = model.extract_feat(view['img'])
    twin = duplicate(model)
    for parameter in model.backbone.parameters():
        parameter.data.zero_()
    assert all(map(torch.equal, twin.extract_feat(view['img']), half))
    assert all(a.dtype == FULL and not torch.equal(a, b) for a, b in zip(half, plain, strict=True))
    handle.remove()
    assert all(map(torch.equal, twin.extract_feat(view['img']), half))
    assert not model.backbone._forward_hooks and twin.backbone._forward_hooks
