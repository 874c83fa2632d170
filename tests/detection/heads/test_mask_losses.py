"""The mask loss of one stage: against MMDetection's on the same targets, and by hand."""

from types import SimpleNamespace

import detectors
import pytest
import torch

from ssod.detection import PseudoLabels
from ssod.detection.heads import Features, RoIStage, RoIStages


@pytest.fixture
def make_stage(detector_cfg, make_model):
    """``make_stage(class_agnostic=False)``: the student's stage of a Mask R-CNN."""

    def make(class_agnostic=False):
        cfg = detectors.mask_rcnn(detector_cfg)
        cfg.roi_head.mask_head['class_agnostic'] = class_agnostic
        return RoIStage(make_model(cfg).student)

    return make


def positives(boxes, labels, assigned):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    index = torch.tensor(assigned).long()
    return SimpleNamespace(pos_bboxes=boxes, pos_gt_labels=torch.tensor(labels).long(), pos_assigned_gt_inds=index)


def labels_with(masks):
    n = len(masks)
    own = PseudoLabels(torch.tensor([[0.0, 0, 4, 4]]).expand(n, 4), torch.zeros(n).long(), torch.ones(n))
    return own.with_masks(masks)


MASKS = torch.tensor([[0.9, 0.6, 0.4, 0.1]]).repeat(4, 1)[None]  # columns of probabilities, 1 pixel each


def loss_of(stage, **settings):
    """The loss of a RoI that is the label's own box, of class 1, whose logits are 1 everywhere (of other classes 9)."""
    logits = torch.full((1, 3, 4, 4), 9.0)
    logits[:, 1] = 1
    sample = positives([[0, 0, 4, 4]], [1], [0])
    return stage.mask_loss(logits, [sample], [labels_with(MASKS)], **settings).item()


def bce(target):
    """Binary cross entropy of a logit of 1."""
    p = torch.tensor(1.0).sigmoid()
    return float(-(target * p.log() + (1 - target) * (1 - p).log()))


def test_hard_soft_and_trimap_targets_by_hand(make_stage):
    stage = make_stage()
    assert loss_of(stage) == pytest.approx((2 * bce(1) + 2 * bce(0)) / 4)
    assert loss_of(stage, target='soft') == pytest.approx(sum(map(bce, (0.9, 0.6, 0.4, 0.1))) / 4, rel=1e-5)
    assert loss_of(stage, ignore=(0.3, 0.7)) == pytest.approx((bce(1) + bce(0)) / 2)
    assert loss_of(stage, ignore=(0.3, 0.5)) == pytest.approx((2 * bce(1) + bce(0)) / 3)
    assert loss_of(stage, ignore=(0.05, 0.95)) == 0  # no pixel counts


def test_a_mask_counts_by_its_score(make_stage):
    stage = make_stage()
    assert loss_of(stage, score_power=2.0) == pytest.approx(0.75**2 * loss_of(stage), rel=1e-5)


@pytest.mark.parametrize('class_agnostic', [False, True])
def test_hard_targets_give_mmdetections_loss(make_stage, class_agnostic):
    stage, generator = make_stage(class_agnostic), torch.Generator().manual_seed(0)
    masks = torch.rand(3, 12, 12, generator=generator)
    logits = torch.randn(3, 1 if class_agnostic else 3, 12, 12, generator=generator)
    samples = [positives([[0, 0, 4, 4]] * 2, [2, 0], [1, 0]), positives([[0, 0, 4, 4]], [1], [0])]
    pseudo = [labels_with(masks[:2]), labels_with(masks[2:])]
    targets = (masks[[1, 0, 2]] >= 0.5).float()
    expected = stage.mask_head.loss(logits, targets, torch.tensor([2, 0, 1]))['loss_mask']
    torch.testing.assert_close(stage.mask_loss(logits, samples, pseudo), expected[0])
    stage.mask_head.loss_mask.loss_weight = 3.0
    torch.testing.assert_close(stage.mask_loss(logits, samples, pseudo), 3 * expected[0])


def test_without_positives_the_loss_is_zero_and_tied(make_stage, make_view):
    stage = make_stage()
    features = Features(tuple(torch.randn(1, 16, 12, 16) for _ in range(3)))
    logits = stage.mask_logits(features, torch.zeros(0, 5))
    loss = stage.mask_loss(logits, [positives([], [], [])], [labels_with(MASKS)])
    loss.backward()
    assert logits.shape == (0, 3, 12, 12) and loss == 0
    assert all((p.grad == 0).all() for p in stage.mask_head.parameters())
    none = stage.mask_loss(logits.detach(), [positives([], [], [])], [labels_with(torch.zeros(0, 12, 12))])
    assert none == 0


def test_the_teachers_masks_are_the_mean_of_its_stages_over_each_boxs_own_class(detector_cfg, make_model):
    model = make_model(detectors.cascade_mask_rcnn(detector_cfg))
    stages, head = RoIStages(model.teacher), model.teacher.roi_head
    levels = tuple(torch.randn(2, 16, 96 // s, 128 // s) for s in (8, 16, 32))
    boxes = [torch.tensor([[10.0, 10, 60, 60]]), torch.tensor([[20.0, 30, 90, 90], [0, 0, 30, 30]])]
    with torch.no_grad():
        masks = stages.masks(Features(levels), boxes, [torch.tensor([2]), torch.tensor([0, 1])])
        for image, box, label in ((0, 0, 2), (1, 0, 0), (1, 1, 1)):
            rois = torch.cat([torch.tensor([[image]]), boxes[image][box][None]], dim=1)
            own = [head._mask_forward(i, levels, rois)['mask_pred'][0, label].sigmoid() for i in range(3)]
            torch.testing.assert_close(masks[image][box], sum(own) / 3)
        none = stages.masks(Features(levels), [torch.zeros(0, 4)] * 2, [torch.zeros(0).long()] * 2)
    assert [own.shape for own in none] == [(0, 12, 12)] * 2
