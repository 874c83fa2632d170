"""Matrices against hand-worked points, mmdet's own box ops and a naive loop over corners."""

import numpy as np
import pytest
from mmdet.datasets.pipelines import RandomFlip

from ssod.data.views import transform_matrix as tm

BOXES = np.array([[10, 20, 50, 40], [0, 0, 5, 78], [70.5, 30.25, 99, 79]], dtype=np.float32)


def point(matrix, x, y):
    return tuple((matrix @ np.array([x, y, 1]))[:2])


@pytest.mark.parametrize(
    'matrix, expected',
    [
        (tm.identity(), (3, 4)),
        (tm.scale(2, 0.5), (6, 2)),
        (tm.flip((80, 100, 3), 'horizontal'), (97, 4)),
        (tm.flip((80, 100), 'vertical'), (3, 76)),
        (tm.flip((80, 100), 'diagonal'), (97, 76)),
        (tm.translate(-1.5, 10), (1.5, 14)),
        (tm.rotate(90, (0, 0)), (-4, 3)),  # clockwise as seen: right -> down
        (tm.rotate(90, (3, 4)), (3, 4)),
        (tm.rotate(180, (10, 10)), (17, 16)),
        (tm.shear(x=0.5), (5, 4)),
        (tm.shear(y=0.5), (3, 5.5)),
        (tm.shear(0.5, 2), (5, 14)),
    ],
)
def test_points_by_hand(matrix, expected):
    assert matrix.shape == (3, 3) and matrix.dtype == np.float32
    assert point(matrix, 3, 4) == pytest.approx(expected, abs=1e-5)


def test_shear_is_x_then_y():
    product = tm.shear(y=-0.3) @ tm.shear(x=0.7)
    np.testing.assert_allclose(tm.shear(0.7, -0.3), product, atol=1e-7)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flip_agrees_with_the_host(direction):
    shape = (80, 100)
    host = RandomFlip(flip_ratio=1.0).bbox_flip(BOXES, shape, direction)
    np.testing.assert_allclose(tm.transform_boxes(BOXES, tm.flip(shape, direction), (90, 100)), host, atol=1e-4)


def test_flip_refuses_other_directions():
    with pytest.raises(ValueError, match='direction'):
        tm.flip((80, 100), 'sideways')


def test_record_left_multiplies_and_starts_from_identity():
    results = {}
    tm.record(results, tm.translate(5, 0))
    first = results['transform_matrix']
    kept = first.copy()
    tm.record(results, tm.scale(2, 2))
    assert results['transform_matrix'].dtype == np.float32
    assert point(results['transform_matrix'], 1, 1) == (12, 2)  # moved, then scaled
    np.testing.assert_array_equal(first, kept)


def naive_hull(box, matrix, h, w):
    x1, y1, x2, y2 = box
    points = [point(matrix, x, y) for x in (x1, x2) for y in (y1, y2)]
    xs = [min(max(x, 0), w) for x, _ in points]
    ys = [min(max(y, 0), h) for _, y in points]
    return [min(xs), min(ys), max(xs), max(ys)]


@pytest.mark.parametrize('matrix', [tm.rotate(25, (49.5, 39.5)), tm.shear(0.4, -0.3), tm.translate(60, -30)])
def test_boxes_against_a_naive_loop(matrix):
    before = BOXES.copy()
    moved = tm.transform_boxes(BOXES, matrix, (80, 100, 3))
    expected = [naive_hull(box, matrix, 80, 100) for box in BOXES]
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(BOXES, before)


def test_boxes_by_hand():
    quarter = tm.transform_boxes(np.array([[10.0, 20, 50, 40]]), tm.rotate(90, (30, 30)), (80, 100))
    np.testing.assert_allclose(quarter, [[20, 10, 40, 50]], atol=1e-4)
    gone = tm.transform_boxes(np.array([[10.0, 20, 50, 40]]), tm.translate(200, 0), (80, 100))
    np.testing.assert_allclose(gone, [[100, 20, 100, 40]])


def test_there_and_back():
    matrix = tm.flip((80, 100), 'horizontal') @ tm.scale(1.3, 0.8)
    there = tm.transform_boxes(BOXES, matrix, (1000, 1000))
    # The flip is about x = 100, so what went left of the view is lost: compare the rest.
    inside = BOXES[:, 2] * 1.3 <= 100
    back = tm.transform_boxes(there, np.linalg.inv(matrix), (1000, 1000))
    assert inside.sum() == 2
    np.testing.assert_allclose(back[inside], BOXES[inside], atol=1e-3)


def test_no_boxes():
    moved = tm.transform_boxes(np.zeros((0, 4), np.float32), tm.rotate(10, (5, 5)), (10, 10))
    assert moved.shape == (0, 4) and moved.dtype == np.float32
