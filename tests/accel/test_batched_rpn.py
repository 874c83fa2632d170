"""As a GPU computes it: the same losses, gradients and proposals as MMDetection's RPN head where all anchors count."""

import pytest
import torch
from mmcv import ConfigDict
from mmdet.models import RPNHead
from torch.testing import assert_close

from ssod.accel import SampledRPNHead
from ssod.accel.anchor_grid import anchors_of, within_images
from ssod.core.hardware import as_on_a_gpu

ALL = dict(type='RandomSampler', num=10**6, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False)
CFG = dict(
    in_channels=4,
    feat_channels=6,
    anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0, 2.0], strides=[8, 16]),
    bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=(0.1, 0.1, 0.2, 0.2)),
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
    loss_bbox=dict(type='L1Loss'),
    train_cfg=ConfigDict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, ignore_iof_thr=0.5),
        sampler=ALL,
        allowed_border=-1,
        pos_weight=-1,
    ),
)
PROPOSALS = ConfigDict(nms_pre=100, max_per_img=50, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)
METAS = [dict(img_shape=(64, 96, 3), pad_shape=(64, 96, 3)), dict(img_shape=(50, 80, 3), pad_shape=(56, 80, 3))]
BOXES = [torch.tensor([[0.0, 0, 30, 34], [60, 20, 92, 50]]), torch.tensor([[8.0, 0, 72, 50]])]
NONE = [torch.zeros(0, 4)] * 2
SOFTMAX = dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False))
DECODED = dict(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss'))
HEAVY = dict(train_cfg=ConfigDict(CFG['train_cfg'], pos_weight=3.0))
TWO_CONVS = dict(num_convs=2)
# MMDetection's way: a GPU has no other for these.
FOCAL = dict(loss_cls=dict(type='FocalLoss', use_sigmoid=True))
BORDER = dict(train_cfg=ConfigDict(CFG['train_cfg'], allowed_border=0))

SOFT_NMS = dict(nms=dict(type='soft_nms', iou_threshold=0.7))
OTHERS = [dict(min_bbox_size=20), dict(min_bbox_size=1000), dict(min_bbox_size=-1), dict(nms_pre=-1), SOFT_NMS]


def trained(head, feats, boxes, cfg=PROPOSALS, **kwargs):
    """The sums of the losses over levels, proposals, gradients of features and parameters."""
    losses, proposals = head.forward_train(feats, METAS, boxes, proposal_cfg=cfg, **kwargs)
    losses = [sum(losses['loss_rpn_cls']), sum(losses['loss_rpn_bbox'])]
    return losses, proposals, torch.autograd.grad(losses[0] + 2 * losses[1], [*feats, *head.parameters()])


def both(boxes, changes=None, **kwargs):
    """Ours on a GPU's path, and MMDetection's with the same weights."""
    torch.manual_seed(0)
    feats = [torch.randn(2, 4, 8, 12, requires_grad=True), torch.randn(2, 4, 4, 6, requires_grad=True)]
    ours, theirs = SampledRPNHead(**{**CFG, **(changes or {})}), RPNHead(**{**CFG, **(changes or {})})
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    theirs.load_state_dict(ours.state_dict())
    with as_on_a_gpu():
        own = trained(ours, feats, boxes, **kwargs)
    return own, trained(theirs, feats, boxes, **kwargs)


@pytest.mark.parametrize('changes', [{}, SOFTMAX, DECODED, HEAVY, TWO_CONVS, FOCAL, BORDER])
def test_equals_mmdetections(changes):
    ours, theirs = both(BOXES, changes)
    assert all(loss > 0 for loss in theirs[0])
    assert_close(ours, theirs)


@pytest.mark.parametrize('boxes', [NONE, [BOXES[0], NONE[0]]])
def test_without_boxes(boxes):
    assert_close(*both(boxes))


def test_boxes_that_say_nothing():
    ignored = [torch.tensor([[40.0, 0, 96, 20]]), torch.zeros(0, 4)]
    ours, theirs = both(BOXES, gt_bboxes_ignore=ignored)
    assert_close(ours, theirs)
    assert ours[0][0] != both(BOXES)[0][0][0]


@pytest.mark.parametrize('changes', OTHERS)
def test_proposals_of_other_settings(changes):
    ours, theirs = both(BOXES, cfg=ConfigDict(PROPOSALS, **changes))
    assert [len(boxes) for boxes in ours[1]] == [len(boxes) for boxes in theirs[1]]
    assert (changes.get('min_bbox_size') == 1000) == (len(ours[1][0]) == 0)
    assert_close(ours[1], theirs[1])


def test_sampled_losses_are_right_on_average():
    """The classification loss of 16 samples, over 300 draws, against MMDetection's: within four standard errors."""
    cfg = ConfigDict(CFG['train_cfg'], sampler=dict(ALL, num=16))
    torch.manual_seed(0)
    feats = [torch.randn(2, 4, 8, 12), torch.randn(2, 4, 4, 6)]
    head = SampledRPNHead(**dict(CFG, train_cfg=cfg))
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)

    def draws(number):
        return torch.stack([sum(head.forward_train(feats, METAS, BOXES)['loss_rpn_cls']) for _ in range(number)])

    with torch.no_grad():
        plain = draws(300)
        with as_on_a_gpu():
            ours = draws(300)
    error = ((plain.var() + ours.var()) / 300).sqrt()
    assert (plain.mean() - ours.mean()).abs() < 4 * error and ours.std() == pytest.approx(plain.std().item(), rel=0.25)


def test_anchors_and_their_places_are_mmdetections():
    generator = RPNHead(**CFG).prior_generator
    sizes = [(8, 12), (33, 6)]
    anchors = anchors_of(generator, sizes, torch.device('cpu'))
    assert_close(anchors.boxes, torch.cat(generator.grid_priors(sizes, device='cpu')), rtol=0, atol=0)
    own = within_images(generator, anchors, sizes, METAS)
    for flags, meta in zip(own, METAS, strict=True):
        assert flags.equal(torch.cat(generator.valid_flags(sizes, meta['pad_shape'], 'cpu')))
    assert within_images(generator, anchors, sizes, [dict(pad_shape=(640, 960, 3))]) is None
