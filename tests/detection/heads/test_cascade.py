"""Stages of a cascade, as functions of boxes."""

from types import SimpleNamespace

import detectors
import pytest
import torch

from ssod.detection import PseudoLabels
from ssod.detection.heads import Features, RoIOutputs, RoIStages, StageSamples

META = [dict(img_shape=(100, 100, 3))]


@pytest.fixture
def make_stages(detector_cfg, make_model):
    """``make_stages(class_agnostic=True)``: the student's stages of a cascade."""
    return lambda class_agnostic=True: RoIStages(
        make_model(detectors.cascade_rcnn(detector_cfg, class_agnostic=class_agnostic)).student
    )


def sample(pos, neg, num_gts, classes=()):
    """Samples by their indices, in a list of pseudo boxes first and then proposals; box k begins at (k, 0)."""
    boxes = [torch.tensor([[float(k), 0, k + 10, 10] for k in own]).reshape(-1, 4) for own in (pos, neg)]
    return SimpleNamespace(
        pos_inds=torch.tensor(pos).long(), neg_inds=torch.tensor(neg).long(), num_gts=num_gts,
        pos_bboxes=boxes[0], neg_bboxes=boxes[1], bboxes=torch.cat(boxes),
        pos_is_gt=torch.tensor([k < num_gts for k in pos]).to(torch.uint8),
        pos_gt_labels=torch.tensor(classes).long(),
    )  # fmt: skip


def test_the_next_stage_begins_with_the_boxes_of_both_branches_each_once(make_stages):
    stage = make_stages()[0]
    # Two pseudo boxes before the proposals of the one, one before those of the other: box 3 here is box 2 there.
    cls, reg = sample([0, 3], [5, 2], 2), sample([0, 2, 4, 7], [5], 1, classes=[0, 0, 0, 0])
    cls.pos_gt_labels = torch.tensor([0, 0])
    still = [torch.zeros(n, 4) for n in (4, 4)]
    logits = torch.zeros(4, 4)
    following = stage.next_proposals(
        StageSamples([cls], RoIOutputs(logits, still[0])), StageSamples([reg], RoIOutputs(logits, still[1])), META
    )
    # Of the first branch proposals 1, 3, 0; of the second 1 and 3 again, and 6, which is its box 7.
    assert following[0][:, 0].tolist() == [3, 5, 2, 7]


def test_a_positive_moves_by_its_own_class_and_a_negative_by_its_likeliest(make_stages):
    stage = make_stages(class_agnostic=False)[0]
    cls, reg = sample([1], [2], 1, classes=[1]), sample([3], [], 1, classes=[2])
    deltas = torch.zeros(2, 3, 4)
    for label in range(3):
        deltas[:, label, 0] = label  # class k moves by k * target_std 0.1 * width 10 = k pixels
    logits = torch.tensor([[9.0, 0, 0, 0], [0, 0, 5, 9]])  # the negative's likeliest class is 2, background aside
    following = stage.next_proposals(
        StageSamples([cls], RoIOutputs(logits, deltas.flatten(1))),
        StageSamples([reg], RoIOutputs(logits[:1], deltas[:1].flatten(1))),
        META,
    )
    torch.testing.assert_close(following[0][:, 0], torch.tensor([2.0, 4, 5]))


def test_a_sampler_that_adds_no_pseudo_boxes_counts_from_the_first_proposal(make_stages):
    stage = make_stages()[0]
    stage.sampler.add_gt_as_proposals = False
    cls, reg = sample([], [1], 2), sample([1, 2], [], 1, classes=[0, 0])
    reg.pos_is_gt = torch.zeros(2, dtype=torch.uint8)
    outputs = [RoIOutputs(torch.zeros(n, 4), torch.zeros(n, 4)) for n in (1, 2)]
    following = stage.next_proposals(StageSamples([cls], outputs[0]), StageSamples([reg], outputs[1]), META)
    assert following[0][:, 0].tolist() == [1, 2]


def test_no_samples_lead_to_no_proposals(make_stages):
    none = StageSamples([sample([], [], 0)], RoIOutputs(torch.zeros(0, 4), torch.zeros(0, 4)))
    assert make_stages()[0].next_proposals(none, none, META)[0].shape == (0, 4)


def test_a_sampler_that_mines_hard_boxes_asks_the_stage(detector_cfg, make_model, make_view):
    cfg = detectors.cascade_rcnn(detector_cfg)
    for own in cfg.train_cfg.rcnn:
        own.sampler.update(type='OHEMSampler', num=4, pos_fraction=0.5)
    model, view = make_model(cfg), make_view(['u'])
    features = Features(model.student.extract_feat(view['img']))
    seen, host = [], model.student.roi_head._bbox_forward
    model.student.roi_head._bbox_forward = lambda stage, *args: seen.append(stage) or host(stage, *args)
    boxes = [torch.rand(20, 4).mul(40) + torch.tensor([0.0, 0, 45, 45])]
    labels = [PseudoLabels(torch.tensor([[10.0, 10, 60, 60]]), torch.tensor([1]), torch.ones(1))]
    for stage in RoIStages(model.student):
        stage.sample(features, boxes, labels)
    assert sorted(set(seen)) == [0, 1, 2]


def test_the_mean_of_the_stages_logits_of_given_boxes(make_stages, make_view):
    stages = make_stages()
    view = make_view(['u', 'v'])
    with torch.no_grad():
        features = Features(levels_of(view))
        boxes = [torch.tensor([[10.0, 10, 60, 60], [20, 30, 90, 90]]), torch.zeros(0, 4)]
        logits = stages.logits(features, view['img_metas'], boxes)
        rois, outputs = stages.detect(features.of_image(0), boxes[0], view['img_metas'][0])
    assert [value.shape for value in logits] == [(2, 4), (0, 4)]
    torch.testing.assert_close(logits[0], outputs.logits)
    assert (rois[:, 1:] - boxes[0]).abs().max() > 0.1, 'the boxes move from stage to stage'


def levels_of(view):
    """Feature maps of 16 channels at strides 8, 16 and 32."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(len(view['img']), 16, 96 // s, 128 // s, generator=generator) for s in (8, 16, 32))
