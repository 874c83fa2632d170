"""A closer look at detections, by hand."""

import json

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from pycocotools import mask as rle

from ssod.core.examination import THRESHOLDS, Curve, Examination
from ssod.core.task import TASKS
from ssod.detection.examination import BOXES, MASKS, pairs_of

NOTHING = np.zeros((0, 5), np.float32)


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 5)


@pytest.fixture
def dataset(tmp_path):
    """Three images of classes b, a (numbered 7, 2): two b and a crowd of a in the first, an a in the second."""
    images = [dict(id=i, file_name=f'{i}.png', width=64, height=48) for i in (30, 10, 20)]
    categories = [dict(id=7, name='b'), dict(id=2, name='a')]
    rows = [(30, 7, 0, 0), (30, 7, 20, 0), (30, 2, 40, 20), (10, 2, 0, 0)]
    annotations = [
        dict(id=i, image_id=image, category_id=c, bbox=[x, y, 10, 10], area=100, iscrowd=int(i == 3))
        for i, (image, c, x, y) in enumerate(rows, 1)
    ]
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(dict(images=images, categories=categories, annotations=annotations)))
    for image in images:
        cv2.imwrite(str(tmp_path / image['file_name']), np.full((48, 64, 3), 128, np.uint8))
    return CocoDataset(str(path), [], classes=('b', 'a'), img_prefix=str(tmp_path), test_mode=True)


RESULTS = [
    [boxes([0, 0, 10, 10, 0.9], [22, 22, 30, 30, 0.8]), boxes([40, 20, 50, 30, 0.95])],  # right, wrong, on the crowd
    [NOTHING, boxes([0, 0, 10, 10, 0.6])],
    [NOTHING, NOTHING],
]


def test_everything_by_hand(dataset):
    found = BOXES.examine(dataset, RESULTS)
    assert (found.label, found.classes, found.class_counts) == ('mAP', ['b', 'a'], [2, 1])
    scores = TASKS['detection'].measures.class_scores(dataset, RESULTS)(np.ones(3, int))
    assert found.class_scores == [pytest.approx(score, abs=1e-4) for score in scores] and found.class_scores[1] == 1
    first, second = found.curves
    at = THRESHOLDS.index(0.5)
    assert (first.precision[at], first.recall[at], first.f1[at]) == (0.5, 0.5, 0.5)
    assert (first.precision[-1], first.recall[-1], first.f1[-1]) == (None, 0, 0)
    assert first.best() == (0.81, pytest.approx(2 / 3)) and second.best() == (0.01, 1)
    # All together: two of three found are right, two of three true ones found; the crowd counts neither way.
    assert found.confusion_thr == 0.01
    assert found.confusion == [[1, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert found.images == ['30.png', '10.png', '20.png']
    assert found.image_scores == [0.5, 1, None] and found.image_score == 'F1 at score 0.01'
    assert found.extremes() == [0, 1]


def test_nothing_found_and_no_truth(dataset):
    found = BOXES.examine(dataset, [[NOTHING, NOTHING]] * 3)
    assert found.class_scores == [0, 0] and [curve.best() for curve in found.curves] == [None, None]
    assert found.confusion == [[0, 0, 2], [0, 0, 1], [0, 0, 0]] and found.image_scores == [0, 0, None]
    dataset.coco.imgToAnns.clear()
    found = BOXES.examine(dataset, RESULTS)
    assert found.class_scores == [None, None] and found.class_counts == [0, 0]
    assert found.image_scores == [0, 0, None]


def test_each_true_box_is_taken_once_and_by_the_nearest():
    true = [dict(bbox=[0, 0, 10, 10], category_id=7), dict(bbox=[1, 0, 10, 10], category_id=2)]
    found = [dict(bbox=[1, 0, 10, 10], category_id=7), dict(bbox=[1, 0, 10, 10], category_id=2)]
    assert pairs_of(true, found) == [(2, 7), (7, 2)]
    assert pairs_of(true, found[:1] * 3) == [(2, 7), (7, 7), (None, 7)]
    assert pairs_of([], found) == [(None, 7), (None, 2)] and pairs_of(true, []) == [(7, None), (2, None)]


def test_extremes_are_the_worst_then_the_best_each_once():
    many = Examination(
        '', [], [], [], [], '', list('abcdefghijk'), [0.5, None, 0, 0.1, 0.9, 0.8, 0.7, 0.2, 0.3, 1, 0.6]
    )
    assert many.extremes(worst=3, best=2) == [2, 3, 7, 9, 4]
    few = Examination('', [], [], [], [], '', ['a', 'b'], [0.5, 0.1])
    assert few.extremes() == [1, 0]


def test_the_lowest_of_several_best_thresholds_counts():
    curve = Curve([0.5] * 10 + [1.0] * 89, [1.0] * 10 + [0.9] * 20 + [0.1] * 69)
    assert curve.best() == (0.11, pytest.approx(1.8 / 1.9))


def test_pictures_have_the_truth_at_the_left(dataset):
    picture = BOXES.draw(dataset, 0, RESULTS[0], 0.85)
    height, width = picture.shape[:2]
    assert picture.dtype == np.uint8 and width == 2 * 360 and height == 270
    green = (np.abs(picture.astype(int) - (80, 175, 76)).max(axis=-1) < 40).sum(axis=0)
    orange = (np.abs(picture.astype(int) - (0, 110, 245)).max(axis=-1) < 40).sum(axis=0)
    assert green[:360].sum() > 300 and green[360:].sum() == 0
    assert orange[360:].sum() > 200 and orange[:360].sum() == 0
    assert BOXES.draw(dataset, 2, RESULTS[2], 0.5).shape == picture.shape


def test_masks(dataset):
    """Masks that are the boxes: the AP of masks is that of boxes; the picture shows them."""
    for box in dataset.coco.dataset['annotations']:
        x, y, w, h = box['bbox']
        box['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    corners = [[40, 20, 50, 20, 50, 30, 40, 30]]
    crowd = rle.frPyObjects(corners, 48, 64)[0]
    dataset.coco.anns[3]['segmentation'] = dict(size=[48, 64], counts=crowd['counts'])

    def masked(result):
        masks = []
        for rows in result:
            one = np.zeros((len(rows), 48, 64), np.uint8)
            for mask, (x1, y1, x2, y2) in zip(one, rows[:, :4].astype(int), strict=True):
                mask[y1:y2, x1:x2] = 1
            masks.append([rle.encode(np.asfortranarray(mask)) for mask in one])
        return result, masks

    results = [masked(result) for result in RESULTS]
    found = MASKS.examine(dataset, results)
    assert found.label == 'mask mAP'
    assert found.class_scores == BOXES.examine(dataset, RESULTS).class_scores
    assert found.confusion == [[1, 0, 1], [0, 1, 0], [1, 0, 0]]
    plain, painted = BOXES.draw(dataset, 0, RESULTS[0], 0.85), MASKS.draw(dataset, 0, results[0], 0.85)
    for half in (slice(0, 360), slice(360, 720)):
        assert (plain[:, half] != painted[:, half]).any(axis=-1).sum() > 1000
