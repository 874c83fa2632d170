"""How far the predictions around a detection disagree about its box."""

import pytest
import torch
from detectors import dense
from mmdet.core import bbox_overlaps

from ssod.detection import MeanTeacher, PredictionSpreadFilter, PseudoLabels, SoftTeacher
from ssod.detection.heads.dense import Detections, detect


def boxes_of(boxes, labels, scores):
    return PseudoLabels(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(labels), torch.tensor(scores)
    )


def test_three_predictions_by_hand():
    """Widths of 10, 12 and 14 of equal score: their right sides' standard deviation is sqrt(8 / 3)."""
    around = boxes_of([[0, 0, 10, 10], [0, 0, 12, 10], [0, 0, 14, 10]], [1, 1, 1], [0.5, 0.5, 0.5])
    keep = PredictionSpreadFilter(iou_thr=0.5)
    spread = keep.spread(around[torch.tensor([1])], around)
    assert spread.tolist() == [pytest.approx((8 / 3) ** 0.5 / 12 / 4)]


def test_equal_predictions_have_no_spread_and_lone_ones_are_not_trusted():
    box = [0, 0, 10, 10]
    around = boxes_of([box, box, box, [50, 50, 60, 60], [50, 50, 60, 60]], [0, 0, 0, 0, 1], [0.9, 0.8, 0.7, 0.9, 0.9])
    keep = PredictionSpreadFilter(thr=0.05)
    spread = keep.spread(around[torch.tensor([0, 3])], around)
    assert spread.tolist() == [0, torch.inf]
    assert keep(around[torch.tensor([0, 3])].with_variance(spread)).tolist() == [True, False]
    none = around[torch.tensor([], dtype=torch.long)]
    assert keep.spread(none, around).shape == (0,) and keep.spread(around, none).tolist() == [torch.inf] * 5


@pytest.mark.parametrize('kind', ['RetinaNet', 'ATSS', 'GFL', 'TOOD'])
def test_a_heads_own_predictions_against_a_plain_loop(detector_cfg, make_view, kind):
    torch.manual_seed(0)
    model = MeanTeacher(dense(detector_cfg, kind), dict(spread_filter=dict(type='PredictionSpreadFilter', iou_thr=0.3)))
    for value in model.teacher.parameters():
        if value.dim() > 1:
            torch.nn.init.normal_(value, std=1.3 / value[0].numel() ** 0.5)
    view, rule = make_view(['u', 'v']), model.spread_filter
    with torch.no_grad():
        found = detect(model.teacher, view['img'], view['img_metas'], rule.spread).labels
        plain = detect(model.teacher, view['img'], view['img_metas']).labels
        head = model.teacher.bbox_head
        outs = head(model.teacher.extract_feat(view['img']))
        raw = head.get_bboxes(*outs, img_metas=view['img_metas'], with_nms=False)
    measured = 0
    for own, same, (boxes, scores, labels) in zip(found, plain, raw, strict=True):
        assert torch.equal(own.bboxes, same.bboxes) and len(own) > 0
        for i in range(len(own)):
            overlaps = bbox_overlaps(own.bboxes[i : i + 1], boxes)[0]
            near = [k for k in range(len(boxes)) if overlaps[k] >= rule.iou_thr and labels[k] == own.labels[i]]
            if len(near) < rule.least:
                assert own.reg_variance[i] == torch.inf
                continue
            weights = torch.stack([scores[k] for k in near])
            mean = sum(scores[k] * boxes[k] for k in near) / weights.sum()
            std = (sum(scores[k] * (boxes[k] - mean) ** 2 for k in near) / weights.sum()).sqrt()
            width, height = mean[2] - mean[0], mean[3] - mean[1]
            expected = (std / torch.stack([width, height, width, height]).clamp(min=1)).mean()
            assert own.reg_variance[i].item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-4)
            measured += 1
    assert measured > 0


def test_both_filters_have_to_keep_a_candidate(detector_cfg, make_view, monkeypatch):
    model = MeanTeacher(dense(detector_cfg, 'FCOS'), dict(spread_filter=dict(type='PredictionSpreadFilter', thr=0.1)))
    labels = boxes_of([[10, 10, 60, 70]] * 3, [0, 1, 2], [0.9, 0.9, 0.2])
    labels = labels.with_variance(torch.tensor([0.05, 0.2, 0.05]))
    monkeypatch.setattr('ssod.detection.mean_teacher.detect', lambda *args: Detections([labels], None))
    view = make_view(['u'])
    placed = model.project_pseudo_labels(model.find_pseudo_labels(view), view)
    assert placed.boxes[0].labels.tolist() == [0]
    labels = labels.with_variance(torch.tensor([0.3, 0.2, 0.05]))
    model.project_pseudo_labels(model.find_pseudo_labels(view), view)
    assert model.project_pseudo_labels(model.find_pseudo_labels(view), view).boxes[0].labels.tolist() == []
    why = model.why_no_pseudo_boxes(0.9)
    assert 'semi_train_cfg.spread_filter, PredictionSpreadFilter(thr=0.1), rejects all' in why
    assert 'whose lowest regression variance is 0.200' in why and 'raise semi_train_cfg.spread_filter.thr' in why


def test_heads_and_methods_that_it_does_not_fit(detector_cfg):
    spread, jitter = dict(type='PredictionSpreadFilter'), dict(type='JitterVarianceFilter')
    for kind in ('PAA', 'YOLOX'):
        if kind == 'PAA':
            pytest.importorskip('sklearn')
        with pytest.raises(ValueError, match=f'{kind} does not give its predictions before NMS'):
            MeanTeacher(dense(detector_cfg, kind), dict(spread_filter=spread))
    with pytest.raises(ValueError, match='FasterRCNN does not give its predictions before NMS'):
        MeanTeacher(detector_cfg, dict(spread_filter=spread))
    with pytest.raises(ValueError, match='a JitterVarianceFilter asks a RoI head'):
        MeanTeacher(detector_cfg, dict(pseudo_filter=jitter))
    with pytest.raises(ValueError, match='write PredictionSpreadFilter as semi_train_cfg.spread_filter'):
        MeanTeacher(detector_cfg, dict(pseudo_filter=spread))
    with pytest.raises(ValueError, match="reads a dense head's predictions, use JitterVarianceFilter"):
        SoftTeacher(detector_cfg, dict(reg_filter=spread))
    with pytest.raises(ValueError, match='iou_thr is in'):
        PredictionSpreadFilter(iou_thr=1)
