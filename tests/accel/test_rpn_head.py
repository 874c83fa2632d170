"""The same losses, gradients and proposals as MMDetection's RPN head."""

import pytest
import torch
from mmcv import ConfigDict
from mmdet.models import RPNHead, build_head
from torch import nn
from torch.testing import assert_close

from ssod.accel import SampledRPNHead
from ssod.hooks import autocast_networks

CFG = dict(
    in_channels=4,
    feat_channels=6,
    anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0, 2.0], strides=[8, 16]),
    bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=(0.1, 0.1, 0.2, 0.2)),
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
    loss_bbox=dict(type='L1Loss'),
    train_cfg=ConfigDict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, ignore_iof_thr=0.5),
        sampler=dict(type='RandomSampler', num=64, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
        allowed_border=-1,
        pos_weight=-1,
    ),
)
PROPOSALS = ConfigDict(nms_pre=200, max_per_img=50, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)
METAS = [dict(img_shape=(64, 96, 3), pad_shape=(64, 96, 3)), dict(img_shape=(50, 80, 3), pad_shape=(64, 96, 3))]
SOFTMAX = dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False))
DECODED = dict(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss'))
HEAVY = dict(train_cfg=ConfigDict(CFG['train_cfg'], pos_weight=3.0))
FOCAL = dict(loss_cls=dict(type='FocalLoss', use_sigmoid=True))
TWO_CONVS = dict(num_convs=2)


@pytest.fixture
def feats():
    torch.manual_seed(0)
    return [torch.randn(2, 4, 8, 12, requires_grad=True), torch.randn(2, 4, 4, 6, requires_grad=True)]


@pytest.fixture
def gt_bboxes():
    """A box in a corner, so that anchors over the border are sampled, and one in the middle."""
    return [torch.tensor([[0.0, 0, 30, 34], [60, 20, 92, 50]]), torch.tensor([[8.0, 0, 72, 50]])]


def heads(**changes):
    """Ours and MMDetection's with the same random weights."""
    ours, theirs = SampledRPNHead(**{**CFG, **changes}), RPNHead(**{**CFG, **changes})
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def trained(head, feats, gt_bboxes, **kwargs):
    """Losses, proposals, and gradients of features and parameters."""
    torch.manual_seed(1)
    losses, proposals = head.forward_train(feats, METAS, gt_bboxes, proposal_cfg=PROPOSALS, **kwargs)
    total = sum((k + 1) * loss for k, loss in enumerate(losses['loss_rpn_cls'] + losses['loss_rpn_bbox']))
    return losses, proposals, torch.autograd.grad(total, [*feats, *head.parameters()])


@pytest.mark.parametrize('changes', [{}, SOFTMAX, DECODED, HEAVY, FOCAL, TWO_CONVS])
def test_equals_mmdetections(feats, gt_bboxes, changes):
    ours, theirs = heads(**changes)
    ours, theirs = trained(ours, feats, gt_bboxes), trained(theirs, feats, gt_bboxes)
    assert all(loss > 0 for loss in theirs[0]['loss_rpn_cls'] + theirs[0]['loss_rpn_bbox'])
    assert_close(ours, theirs)


def test_boxes_that_say_nothing(feats, gt_bboxes):
    ignored = [torch.tensor([[40.0, 0, 96, 20]]), torch.zeros(0, 4)]
    ours, theirs = heads()
    with_them = trained(ours, feats, gt_bboxes, gt_bboxes_ignore=ignored)
    assert_close(with_them, trained(theirs, feats, gt_bboxes, gt_bboxes_ignore=ignored))
    assert with_them[0]['loss_rpn_cls'][0] != trained(ours, feats, gt_bboxes)[0]['loss_rpn_cls'][0]


def test_without_boxes(feats):
    ours, theirs = heads()
    none = [torch.zeros(0, 4)] * 2
    (losses, *others), theirs = trained(ours, feats, none), trained(theirs, feats, none)
    assert_close((losses, *others), theirs)
    assert sum(losses['loss_rpn_bbox']) == 0 < sum(losses['loss_rpn_cls'])


def test_a_level_without_samples_has_a_gradient_of_zero(feats, gt_bboxes):
    """In DDP every parameter needs one: here from the level alone that has no anchor in the small image."""
    strides = dict(CFG['anchor_generator'], strides=[8, 64])
    ours, theirs = heads(anchor_generator=strides)
    feats[1] = torch.randn(2, 4, 1, 2, requires_grad=True)
    boxes = [torch.tensor([[0.0, 0, 30, 34]])] * 2
    cfg = ConfigDict(CFG['train_cfg'], sampler=dict(CFG['train_cfg'].sampler, num=1, pos_fraction=1.0))
    ours, theirs = heads(anchor_generator=strides, train_cfg=cfg)
    losses, _, grads = result = trained(ours, feats, boxes)
    assert_close(result, trained(theirs, feats, boxes))
    assert losses['loss_rpn_cls'][1] == 0 and (grads[1] == 0).all()


def test_proposals_alone_are_not_computed_without_being_asked_for(feats, gt_bboxes):
    ours, _ = heads()
    assert set(ours.forward_train(feats, METAS, gt_bboxes)) == {'loss_rpn_cls', 'loss_rpn_bbox'}


def test_half_precision_is_as_mmdetections(feats, gt_bboxes):
    ours, theirs = heads()
    autocast_networks(nn.ModuleDict(dict(our_head=ours, their_head=theirs)), 'cpu', torch.bfloat16)
    full = trained(heads()[0], feats, gt_bboxes)
    ours, theirs = trained(ours, feats, gt_bboxes), trained(theirs, feats, gt_bboxes)
    assert_close(ours, theirs, rtol=0.02, atol=0.02)
    losses, theirs = (sum(sum(values) for values in result[0].values()) for result in (ours, theirs))
    assert losses.dtype == torch.float32 and losses != sum(sum(values) for values in full[0].values())


def test_the_graph_keeps_samples_only(gt_bboxes):
    """Not a hidden map over all positions."""
    feats = [torch.randn(2, 4, 80, 120, requires_grad=True), torch.randn(2, 4, 40, 60, requires_grad=True)]
    ours, theirs = (numbers_kept(head, feats, gt_bboxes) for head in heads())
    assert ours < theirs / 10


def numbers_kept(head, feats, gt_bboxes):
    """How many numbers the graph of the losses holds."""
    kept, metas = [], [dict(img_shape=(640, 960, 3), pad_shape=(640, 960, 3))] * 2
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(saved.numel()) or saved, lambda x: x):
        losses = head.forward_train(feats, metas, gt_bboxes)
    assert losses
    return sum(kept)


def test_a_config_may_name_it():
    assert type(build_head(dict(type='SampledRPNHead', **CFG))) is SampledRPNHead
