"""Suppression, against a plain loop."""

import pytest
import torch
from operator_cases import NMS_SIZE, boxes, uniform
from torch import Tensor

import ssod.ops


def iou(a: Tensor, b: Tensor, offset: int) -> float:
    width = max(0.0, (min(a[2], b[2]) - max(a[0], b[0])).item() + offset)
    height = max(0.0, (min(a[3], b[3]) - max(a[1], b[1])).item() + offset)
    area_a, area_b = (((x[2] - x[0] + offset) * (x[3] - x[1] + offset)).item() for x in (a, b))
    return width * height / (area_a + area_b - width * height)


def greedy(rows: Tensor, order: list[int], threshold: float, offset: int) -> list[int]:
    kept = []
    for i in order:
        if all(iou(rows[i], rows[j], offset) <= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('levels', [1, 4, 10**6])
def test_nms_keeps_what_a_plain_loop_keeps(levels, offset):
    rows, scores = boxes(0, NMS_SIZE).round(), (uniform(2, NMS_SIZE, low=0) * levels).ceil()
    order = scores.sort(descending=True).indices.tolist()  # mmcv's order of equal scores
    expected = greedy(rows, order, 0.45, offset)
    assert 5 < len(expected) < NMS_SIZE
    assert ssod.ops.nms(rows, scores, iou_threshold=0.45, offset=offset).tolist() == expected


def test_offset_counts_the_last_pixel():
    rows = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 4]])  # 81 and 36 without it: IoU 4/9; 100 and 50 with it: 1/2
    scores = torch.tensor([0.9, 0.8])
    assert ssod.ops.nms(rows, scores, iou_threshold=0.47, offset=0).tolist() == [0, 1]
    assert ssod.ops.nms(rows, scores, iou_threshold=0.47, offset=1).tolist() == [0]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_nms_in_other_types(dtype):
    rows, scores = boxes(0, NMS_SIZE).round(), torch.arange(NMS_SIZE)
    expected = ssod.ops.nms(rows, scores.float(), iou_threshold=0.45, offset=0)
    assert torch.equal(ssod.ops.nms(rows.to(dtype), scores.to(dtype), iou_threshold=0.45, offset=0), expected)


def test_soft_nms_by_hand():
    rows = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])
    scores, dets = torch.tensor([0.9, 0.8, 0.5]), torch.full((3, 5), -1.0)
    settings = dict(iou_threshold=0.3, sigma=0.5, min_score=0.01, offset=0)
    indices = ssod.ops.softnms(rows, scores, dets, method=1, **settings)
    assert indices.tolist() == [0, 2, 1]
    assert dets[:, 4].tolist() == pytest.approx([0.9, 0.5, 0.8 * 0.5])
    assert torch.equal(dets[:, :4], rows[indices])
    assert scores.tolist() == pytest.approx([0.9, 0.8, 0.5])  # the input stays
    assert ssod.ops.softnms(rows, scores, dets, method=0, **settings).tolist() == [0, 2]


def test_nms_match_by_hand():
    dets = torch.tensor([[0, 0, 10, 10, 0.7], [0, 0, 10, 9, 0.9], [20, 20, 30, 30, 0.8], [0, 1, 10, 10, 0.75]])
    assert ssod.ops.nms_match(dets, iou_threshold=0.5) == [[1, 3, 0], [2]]
