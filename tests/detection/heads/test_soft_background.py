"""Background of a dense head weighted by the teacher's trust in it."""

import math

import numpy as np
import pytest
import torch
from detectors import dense

from ssod.detection import MeanTeacher
from ssod.detection.heads.soft_background import background_weights, sample, weighted_background

KINDS = ('RetinaNet', 'FCOS', 'ATSS', 'GFL')


def make(detector_cfg, kind, **settings):
    torch.manual_seed(0)
    model = MeanTeacher(dense(detector_cfg, kind), dict(soft_background=True, **settings))
    for value in model.student.parameters():
        if value.dim() > 1:
            torch.nn.init.normal_(value, std=1.2 / value[0].numel() ** 0.5)
    model.teacher.load_state_dict(model.student.state_dict())
    return model.train()


def scores_and_sizes(model, img):
    with torch.no_grad():
        scores = model.teacher.bbox_head(model.teacher.extract_feat(img))[0]
    return scores, [level.shape[-2:] for level in scores]


def by_point(scores, num_classes=3):
    """One minus the highest class score of each point: level, image, row, column, anchor."""
    return torch.cat([1 - level.permute(0, 2, 3, 1).reshape(-1, num_classes).sigmoid().amax(1) for level in scores])


@pytest.mark.parametrize('kind', KINDS)
def test_in_equal_views_each_point_has_the_teachers_score_at_itself(detector_cfg, make_view, kind):
    model, img = make(detector_cfg, kind), make_view(['u', 'v'])['img']
    scores, sizes = scores_and_sizes(model, img)
    weights = background_weights(model.student.bbox_head, scores, torch.eye(3).repeat(2, 1, 1), sizes)
    torch.testing.assert_close(weights, by_point(scores), rtol=0, atol=1e-5)


def test_a_flip_mirrors_and_a_scale_changes_the_level(detector_cfg, make_view):
    model, img = make(detector_cfg, 'FCOS'), make_view(['u'])['img']
    scores, sizes = scores_and_sizes(model, img)
    flip = torch.tensor([[[-1.0, 0, 128], [0, 1, 0], [0, 0, 1]]])
    weights = background_weights(model.student.bbox_head, scores, flip, sizes)
    torch.testing.assert_close(weights, by_point([level.flip(-1) for level in scores]), rtol=0, atol=1e-5)
    # The teacher's view is twice as large: a point of stride 8 is one of stride 16 there, at the same place.
    double = torch.diag(torch.tensor([2.0, 2, 1]))[None]
    small = [(6, 8), (3, 4)]
    weights = background_weights(model.student.bbox_head, scores, double, [*small, (1, 1)])
    torch.testing.assert_close(weights[: 6 * 8], by_point(scores[1:2]), rtol=0, atol=1e-5)
    torch.testing.assert_close(weights[48 : 48 + 12], by_point(scores[2:3]), rtol=0, atol=1e-5)


def test_outside_the_teachers_view_is_background(detector_cfg, make_view):
    model, img = make(detector_cfg, 'ATSS'), make_view(['u'])['img']
    scores, sizes = scores_and_sizes(model, img)
    away = torch.tensor([[[1.0, 0, 1000], [0, 1, 0], [0, 0, 1]]])
    assert background_weights(model.student.bbox_head, scores, away, sizes).tolist() == [1] * sum(
        h * w for h, w in sizes
    )


def test_between_cells_values_are_linear():
    maps = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    places = torch.tensor([[[0.0, 0], [0.5, 0]], [[0.25, 1], [0.5, 0.5]]])
    assert sample(maps, places).tolist() == [[[0, 0.5], [2.25, 1.5]]]


@pytest.mark.parametrize('kind', KINDS)
def test_weights_of_one_leave_the_loss_and_weights_of_zero_leave_the_objects(detector_cfg, make_view, kind):
    model = make(detector_cfg, kind)
    head, view = model.student.bbox_head, make_view(['u', 'v'])
    truth = [torch.tensor([[10.0, 10, 60, 70]])] * 2, [torch.tensor([1])] * 2
    plain = model.student.forward_train(**view, gt_bboxes=truth[0], gt_labels=truth[1])
    outs = head(model.student.extract_feat(view['img']))
    points = sum(level.numel() // 3 for level in outs[0])
    own = head.loss_cls
    losses = {}
    for weight in (0.0, 0.5, 1.0):
        with weighted_background(head, torch.full((points,), weight)):
            losses[weight] = total(head.loss(*outs, *truth, view['img_metas']))
            assert head.loss_cls.used == points  # each has had its weight
        assert head.loss_cls is own
    assert losses[1.0]['loss_cls'] == pytest.approx(total(plain)['loss_cls'], rel=1e-5)
    halfway = (losses[0.0]['loss_cls'] + losses[1.0]['loss_cls']) / 2
    assert losses[0.5]['loss_cls'] == pytest.approx(halfway, rel=1e-4) and 0 < losses[0.0]['loss_cls'] < halfway
    assert {name: value for name, value in losses[0.0].items() if name != 'loss_cls'} == pytest.approx(
        {name: value for name, value in total(plain).items() if name != 'loss_cls'}, rel=1e-5
    )


def total(losses):
    return {name: (sum(value) if isinstance(value, list) else value).item() for name, value in losses.items()}


def test_focal_loss_by_hand(detector_cfg, make_view):
    """Without boxes all points are background: each one's focal loss times the teacher's weight at it."""
    model, view = make(detector_cfg, 'RetinaNet', pseudo_filter=dict(type='ScoreFilter', thr=1.0)), make_view(['u'])
    labels = model.project_pseudo_labels(model.find_pseudo_labels(view), view)
    losses = model.unsupervised_losses(view, labels)
    with torch.no_grad():
        scores = model.student.bbox_head(model.student.extract_feat(view['img']))[0]
    logits = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, 3) for level in scores])
    weights = by_point(labels.found.cls_scores)
    expected = 0.0
    for row, weight in zip(logits.double().tolist(), weights.tolist(), strict=True):
        for z in row:
            p = 1 / (1 + math.exp(-z))
            expected += weight * 0.75 * p**2 * -math.log(1 - p)
    # Divided by the positives, none and so 1; and by the rule for batches without boxes.
    assert losses['loss_cls'].item() == pytest.approx(0.01 * expected, rel=1e-3)


@pytest.mark.parametrize('kind', KINDS)
def test_a_step_trains(detector_cfg, make_batch, kind):
    model = make(detector_cfg, kind)
    plain = MeanTeacher(dense(detector_cfg, kind), {}).train()
    plain.load_state_dict(model.state_dict())
    batch = make_batch()
    results = [each.train_step(make_batch())['log_vars'] for each in (model, plain)]
    assert list(results[0]) == list(results[1])
    assert 0 < results[0]['unsup_loss_cls'] < results[1]['unsup_loss_cls']
    assert results[0]['unsup_loss_bbox'] == pytest.approx(results[1]['unsup_loss_bbox'], rel=1e-4)
    model.train_step(batch)['loss'].backward()
    assert all(np.isfinite(value) for value in results[0].values())


@pytest.mark.parametrize('kind', ['VFNet', 'TOOD', 'YOLOX', 'FasterRCNN'])
def test_heads_that_weigh_no_points_are_refused(detector_cfg, kind):
    cfg = detector_cfg if kind == 'FasterRCNN' else dense(detector_cfg, kind)
    with pytest.raises(ValueError, match=f'the points of {kind} cannot be weighted: set soft_background=False'):
        MeanTeacher(cfg, dict(soft_background=True))
