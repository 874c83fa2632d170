"""All images at once, against the images one by one."""

import pytest
import torch
from mmcv import ConfigDict
from torch.testing import assert_close

from ssod.core.hardware import as_on_a_gpu
from ssod.detection.heads import RoIOutputs, RoIStages
from ssod.detection.heads.detect_together import detect_together, detects_together, threshold
from ssod.detection.pseudo_labels import PseudoLabels, together
from ssod.detection.pseudo_labels.projection import project_boxes

METAS = [dict(img_shape=(200, 240, 3)), dict(img_shape=(160, 160, 3)), dict(img_shape=(200, 200, 3))]


@pytest.fixture
def model(make_model):
    return make_model()


def test_detections_are_those_of_each_image(model):
    """90 RoIs that overlap much, on three images, one of them without any."""
    torch.manual_seed(0)
    corners = torch.rand(90, 2) * 60
    rois = torch.cat([torch.tensor([0.0, 2]).repeat_interleave(45)[:, None], corners, corners + 40], dim=1)
    outputs = RoIOutputs(torch.randn(90, 4) * 3, torch.randn(90, 12))
    model.semi_train_cfg.candidate_score_thr = 0.2
    cfg = ConfigDict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=20)
    model.teacher.test_cfg.rcnn.update(cfg)
    found = detect_together(RoIStages(model.teacher)[0], rois, outputs, METAS, 0.2, cfg)
    for image in (0, 2):
        of = rois[:, 0] == image
        own = RoIOutputs(outputs.logits[of], outputs.deltas[of])
        alone = model.keep_candidates(rois[of], own, METAS[image])
        assert 5 < len(alone) <= 20
        for name in ('bboxes', 'labels', 'scores', 'foreground_scores'):
            assert_close(getattr(found[image], name), getattr(alone, name), msg=name)
    assert len(found[1]) == 0 and found[1].bboxes.shape == (0, 4)


def test_nothing_above_the_score(model):
    rois = torch.tensor([[0, 10.0, 10, 50, 50]])
    outputs = RoIOutputs(torch.tensor([[0.0, 0, 0, 9]]), torch.zeros(1, 12))
    cfg = ConfigDict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=20)
    found = detect_together(RoIStages(model.teacher)[0], rois, outputs, METAS, 0.5, cfg)
    assert [len(own) for own in found] == [0, 0, 0]


def test_an_overlap_of_exactly_the_threshold_stays():
    assert 0.7 < threshold(0.7) and float(torch.tensor(0.7)) < threshold(0.7) < 0.7 + 1e-7


def test_a_gpu_alone_and_plain_nms_alone(model):
    stages, nms, cpu = RoIStages(model.teacher), dict(type='nms', iou_threshold=0.5), torch.device('cpu')
    assert not detects_together(stages, nms, cpu)
    with as_on_a_gpu():
        assert detects_together(stages, nms, cpu)
        assert not detects_together(stages, dict(nms, class_agnostic=True), cpu)


def some_labels(counts):
    torch.manual_seed(0)
    for n in counts:
        corners = torch.rand(n, 2) * 100
        boxes = torch.cat([corners, corners + torch.rand(n, 2) * 60], dim=1)
        yield PseudoLabels(boxes, torch.arange(n), torch.rand(n))


@pytest.mark.parametrize('counts', [(3, 0, 5), (0, 0, 0), (2, 1, 1)])
def test_labels_move_and_are_chosen_as_image_by_image(counts):
    labels = list(some_labels(counts))
    matrices = torch.eye(3) + torch.rand(3, 3, 3) * torch.tensor([[0.3, 0.3, 30], [0.3, 0.3, 30], [1e-3, 1e-3, 0]])
    moved = together.project(labels, matrices, METAS)
    chosen = together.large(moved, 25)
    for own, matrix, meta, there, kept in zip(labels, matrices, METAS, moved, chosen, strict=True):
        assert_close(there.bboxes, project_boxes(own.bboxes, matrix, meta['img_shape']))
        expected = there.larger_than(25)
        assert kept.labels.tolist() == expected.labels.tolist() and kept.bboxes.equal(expected.bboxes)
        assert kept.scores.equal(expected.scores) and kept.reg_variance is None


def test_labels_of_a_task_go_their_own_way():
    class Own(PseudoLabels):
        pass

    plain = next(some_labels([2]))
    assert not together.go_together([plain])
    with as_on_a_gpu():
        assert together.go_together([plain])
        assert not together.go_together([Own(plain.bboxes, plain.labels, plain.scores)])
        assert not together.go_together([plain.with_masks(torch.rand(2, 4, 4))])
