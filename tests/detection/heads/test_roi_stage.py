"""One refinement of a RoI head, as functions of boxes."""

import pytest
import torch
from mmdet.core import bbox2roi

from ssod.detection.heads import Features, RoIOutputs, RoIStage, background_logits, background_mask


@pytest.fixture
def parts(make_model, make_view):
    """The teacher's stage, its features of two images, their metas."""
    model, view = make_model(), make_view(['u', 'v'])
    with torch.no_grad():
        return RoIStage(model.teacher), Features(model.teacher.extract_feat(view['img'])), view['img_metas']


def boxes(*images):
    return [torch.tensor(rows, dtype=torch.float32).reshape(-1, 4) for rows in images]


def with_deltas(stage, monkeypatch, deltas):
    """Let the head give these deltas, whatever the RoIs."""
    outputs = RoIOutputs(torch.zeros(len(deltas), 4), deltas)
    monkeypatch.setattr(stage, 'forward', lambda feats, rois: outputs)


def test_logits_are_those_of_each_image_and_an_empty_image_gives_none(parts):
    stage, feats, _ = parts
    given = boxes([[10, 10, 60, 60]], [], [])[:1] + boxes([])
    logits = stage.logits(feats, given)
    with torch.no_grad():
        expected = stage.roi_head._bbox_forward(feats.levels, bbox2roi(given))['cls_score']
    assert [value.shape for value in logits] == [(1, 4), (0, 4)]
    torch.testing.assert_close(logits[0], expected, rtol=1e-4, atol=1e-5)


def test_refining_takes_the_boxs_own_class_and_clips_to_its_own_image(parts, monkeypatch):
    stage, feats, _ = parts
    metas = [dict(img_shape=(50, 60, 3)), dict(img_shape=(100, 100, 3))]
    deltas = torch.zeros(2, 12)
    deltas[:, 4] = 20.0  # class 1: x by 20 * target_std 0.1 * width 20 = 40 pixels
    with_deltas(stage, monkeypatch, deltas)
    given = boxes([[10, 10, 30, 30]], [[10, 10, 30, 30]])
    moved = stage.refine(feats, metas, given, [torch.tensor([1]), torch.tensor([1])])
    torch.testing.assert_close(torch.cat(moved), torch.tensor([[50.0, 10, 60, 30], [50, 10, 70, 30]]))
    still = stage.refine(feats, metas, given, [torch.tensor([0]), torch.tensor([2])])
    torch.testing.assert_close(still, given)


def test_a_class_agnostic_head_moves_every_class_alike(parts, monkeypatch):
    stage, feats, _ = parts
    stage.bbox_head.reg_class_agnostic = True
    with_deltas(stage, monkeypatch, torch.tensor([[5.0, 0, 0, 0]]))
    for label in range(3):
        moved = stage.refine(feats, [dict(img_shape=(50, 60, 3))], boxes([[10, 10, 30, 30]]), [torch.tensor([label])])
        torch.testing.assert_close(moved[0], torch.tensor([[20.0, 10, 40, 30]]))


def test_no_boxes_are_refined_to_no_boxes(parts):
    stage, feats, metas = parts
    none = torch.zeros(0, dtype=torch.long)
    assert [len(own) for own in stage.refine(feats, metas, boxes([], []), [none, none])] == [0, 0]


def test_negatives_follow_the_positives_of_each_image():
    class Sample:
        def __init__(self, pos, neg):
            self.pos_bboxes, self.bboxes = torch.zeros(pos, 4), torch.zeros(pos + neg, 4)

    samples = [Sample(1, 2), Sample(0, 1), Sample(2, 0)]
    assert background_mask(samples).tolist() == [0, 1, 1, 1, 0, 0]
    assert background_logits(torch.arange(6.0)[:, None], samples).tolist() == [[1], [2], [3]]
