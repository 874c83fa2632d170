"""Detections on tiles, worked by hand: each object is found once."""

from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
from runs import ROOT

from ssod.core.tiles import Window, windows
from ssod.data.labels.masks import decode, encode
from ssod.detection.tiles import iou_threshold, join, placed

SIZE = (64, 100)
LEFT, RIGHT = windows(SIZE, 64, 0.25)  # 0 to 64 and 36 to 100


def model(iou=0.5):
    test_cfg = mmcv.ConfigDict(rcnn=dict(nms=dict(type='nms', iou_threshold=iou)))
    return SimpleNamespace(CLASSES=('cell', 'dust'), test_cfg=test_cfg)


def output(cells=(), dust=()):
    """MMDetection's result on a tile, in its pixels."""
    return [np.array(rows, np.float32).reshape(-1, 5) for rows in (cells, dust)]


def joined(left, right, score_thr=0.0, iou=0.5):
    return join(model(iou), [left, right], [LEFT, RIGHT], SIZE, score_thr)


def test_an_object_across_a_border_is_found_once_as_a_whole():
    """The right tile sees all of 50 to 90; the left one 14 of its 40 pixels, of which it is surer: IoU 0.35."""
    found = joined(output([[50, 10, 64, 40, 0.9]]), output([[14, 10, 54, 40, 0.7]]))
    assert found.boxes.tolist() == [[50, 10, 90, 40]]
    assert found.scores.tolist() == [pytest.approx(0.7)]
    assert (found.labels.tolist(), found.names, found.run_lengths) == ([0], ['cell'], None)


def test_an_object_in_the_overlap_is_found_once_by_the_surer_tile():
    found = joined(output([[40, 10, 60, 40, 0.6]]), output([[4, 11, 24, 40, 0.8]]))
    assert found.boxes.tolist() == [[40, 11, 60, 40]] and found.scores.tolist() == [pytest.approx(0.8)]


def test_what_is_no_part_stays():
    cut, whole = [50, 10, 64, 40, 0.9], [14, 10, 54, 40, 0.7]
    assert len(joined(output([cut]), output(dust=[whole]))) == 2  # of another class
    assert len(joined(output([cut]), output([whole]), score_thr=0.8)) == 1  # alone above the threshold: it stays
    assert joined(output([cut]), output([whole]), score_thr=0.8).boxes.tolist() == [[50, 10, 64, 40]]
    assert len(joined(output([cut, [40, 10, 63, 63, 0.5]]), output())) == 2  # of one tile: its own NMS kept both
    inside = [40, 10, 58, 30, 0.9]  # lies in a larger box of the other tile, but ends before the border
    assert len(joined(output([inside]), output([[3, 5, 40, 60, 0.8]]))) == 2
    # It ends where the image does.
    assert len(joined(output([[0, 10, 10, 20, 0.5]]), output([[20, 0, 64, 64, 0.8]]))) == 2


def test_the_iou_is_the_detectors_own():
    pair = output([[40, 10, 60, 40, 0.6]]), output([[4, 20, 24, 50, 0.8]])  # IoU 0.5
    assert len(joined(*pair, iou=0.45)) == 1 and len(joined(*pair, iou=0.55)) == 2


def test_one_tile_is_the_result_itself_best_first():
    rows = output([[1, 2, 30, 40, 0.5], [1, 2, 30, 41, 0.4]], [[5, 5, 9, 9, 0.7]])  # soft-NMS keeps such pairs
    found = join(model(), [rows], [Window(0, 0, 100, 64)], SIZE, 0.0)
    np.testing.assert_array_equal(found.boxes, np.concatenate(rows)[[2, 0, 1], :4])
    assert found.labels.tolist() == [1, 0, 0] and found.names == ['dust', 'cell', 'cell']
    empty = join(model(), [output()], [Window(0, 0, 100, 64)], SIZE, 0.0)
    assert empty.boxes.shape == (0, 4) and empty.names == [] and empty.masks is None


def test_masks_come_with_their_boxes_onto_the_image():
    mask = np.zeros((64, 64), bool)
    mask[10:40, 14:54] = True
    left = output([[50, 10, 64, 40, 0.9]]), [[np.ones((64, 64), bool)], []]
    right = output([[14, 10, 54, 40, 0.7]]), [[mask], []]
    found = joined(left, right)
    assert found.masks.shape == (1, *SIZE) and found.masks.dtype == bool
    expected = np.zeros(SIZE, bool)
    expected[10:40, 50:90] = True
    np.testing.assert_array_equal(found.masks[0], expected)
    nothing = joined((output(), [[], []]), (output(), [[], []]))
    assert nothing.masks.shape == (0, *SIZE)


@pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 1.0])
def test_run_lengths_of_a_tile_are_those_of_the_whole_mask(share):
    rng = np.random.default_rng(0)
    for x1, y1, x2, y2 in ((0, 0, 7, 5), (3, 2, 11, 9), (6, 4, 13, 9), (0, 4, 13, 9), (6, 0, 13, 9)):
        mask = rng.random((y2 - y1, x2 - x1)) < share
        whole = np.zeros((9, 13), bool)
        whole[y1:y2, x1:x2] = mask
        code = placed(mask, Window(x1, y1, x2, y2), (9, 13))
        assert code == encode(whole)
        np.testing.assert_array_equal(decode(code), whole)


@pytest.mark.parametrize(
    'config, expected',
    [
        ('soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py', 0.5),
        ('mean_teacher/mean_teacher_atss_r50_caffe_fpn_coco_180k.py', 0.6),
        ('mean_teacher/mean_teacher_yolox_s_coco_180k.py', 0.65),
    ],
)
def test_where_the_iou_is(config, expected):
    detector = mmcv.Config.fromfile(str(ROOT / 'configs' / config)).model.detector
    model = SimpleNamespace(predictor=SimpleNamespace(test_cfg=detector.test_cfg))
    assert iou_threshold(model) == expected
    assert iou_threshold(SimpleNamespace(test_cfg=None)) == 0.5  # DETR


def test_scores_stay_float32_and_labels_numbers_for_torch():
    found = joined(output([[1, 1, 9, 9, 0.5]]), output())
    assert (found.boxes.dtype, found.scores.dtype, found.labels.dtype) == (np.float32, np.float32, np.int64)
    assert torch.from_numpy(found.boxes).shape == (1, 4)
