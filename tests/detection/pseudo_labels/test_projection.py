"""Boxes between views: by hand, there and back, and out of the image."""

import numpy as np
import torch

from ssod.core import view_to_view
from ssod.detection.pseudo_labels import project_boxes

HW = (100, 200)
FLIP = torch.tensor([[-1.0, 0, 200], [0, 1, 0], [0, 0, 1]])


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def test_a_flip_exchanges_the_sides():
    assert project_boxes(boxes([10, 20, 50, 60]), FLIP, HW).tolist() == [[150, 20, 190, 60]]


def test_a_scale_and_a_shift_move_each_corner():
    matrix = torch.tensor([[2.0, 0, 5], [0, 0.5, -3], [0, 0, 1]])
    assert project_boxes(boxes([10, 20, 50, 60]), matrix, HW).tolist() == [[25, 7, 105, 27]]


def test_a_rotation_gives_the_hull_of_the_four_corners():
    # By 45 degrees about the center (50, 50) of a square of side 20: half a diagonal, 14.142, to each side.
    c = 0.5**0.5
    matrix = torch.tensor([[c, -c, 50.0], [c, c, 50 - 100 * c], [0, 0, 1]])
    expected = boxes([50 - 200**0.5, 50 - 200**0.5, 50 + 200**0.5, 50 + 200**0.5])
    torch.testing.assert_close(project_boxes(boxes([40, 40, 60, 60]), matrix, HW), expected)


def test_a_perspective_divides_by_depth():
    matrix = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.01, 0, 1]])
    # x = 100 has depth 2: (50, 20) and (50, 40); x = 0 has depth 1.
    assert project_boxes(boxes([0, 40, 100, 80]), matrix, HW).tolist() == [[0, 20, 50, 80]]


def test_boxes_are_clipped_to_the_view_and_outside_have_no_area():
    clipped = project_boxes(boxes([-10, -10, 250, 130], [210, 10, 220, 20]), torch.eye(3), HW)
    assert clipped.tolist() == [[0, 0, 200, 100], [200, 10, 200, 20]]


def test_no_boxes_project_to_no_boxes():
    assert project_boxes(boxes(), FLIP, HW).shape == (0, 4)


def test_there_and_back_is_where_we_were():
    source = dict(transform_matrix=np.array([[1.5, 0, 3], [0, 1.5, -2], [0, 0, 1]], np.float32))
    target = dict(transform_matrix=np.array([[-0.7, 0, 140], [0, 0.8, 4], [0, 0, 1]], np.float32))
    inner = boxes([20, 30, 60, 50], [100, 20, 160, 70])
    there = view_to_view([source], [target], torch.device('cpu'))[0]
    back = view_to_view([target], [source], torch.device('cpu'))[0]
    moved = project_boxes(inner, there, (500, 500))
    assert (moved - inner).abs().min() > 1
    torch.testing.assert_close(project_boxes(moved, back, (500, 500)), inner, rtol=1e-4, atol=1e-3)


def test_view_to_view_goes_through_the_original_image_of_each_pair():
    scale, shift = np.diag([2.0, 2.0, 1.0]), np.array([[1.0, 0, 7], [0, 1, 0], [0, 0, 1]])
    metas = [dict(transform_matrix=m.astype(np.float32)) for m in (scale, shift)]
    matrices = view_to_view(metas, metas[::-1], torch.device('cpu'))
    assert matrices.dtype == torch.float32
    # (10, 10) of the doubled view is (5, 5) of the original, (12, 5) of the shifted view.
    assert (matrices[0] @ torch.tensor([10.0, 10, 1])).tolist() == [12, 5, 1]
    assert (matrices[1] @ torch.tensor([12.0, 5, 1])).tolist() == [10, 10, 1]
