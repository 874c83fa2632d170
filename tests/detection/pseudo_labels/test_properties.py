"""Pseudo labels of any number, in any view: chosen and moved one image at a time or all together, it is the same."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import few

from ssod.detection import PseudoLabels
from ssod.detection.pseudo_labels import together

SHAPE = (80, 100, 3)


@st.composite
def labels(draw, most=6):
    """Labels of an image of 100 x 80 pixels."""
    n = draw(st.integers(0, most))
    numbers = draw(st.lists(st.floats(0, 1, width=32), min_size=6 * n, max_size=6 * n))
    values = torch.tensor(numbers).reshape(n, 6)
    x, y = values[:, :2].T * torch.tensor([[90.0], [70.0]])
    boxes = torch.stack([x, y, x + values[:, 2] * (100 - x), y + values[:, 3] * (80 - y)], dim=1)
    return PseudoLabels(boxes, (values[:, 4] * 5).long(), values[:, 5], foreground_scores=1 - values[:, 5])


@st.composite
def matrices(draw, turning=True):
    """(3, 3): a scale, a flip, a move, and perhaps a turn or shear."""
    flips = draw(st.tuples(st.booleans(), st.booleans()))
    x, y = (draw(st.floats(0.3, 3)) * (-1 if flip else 1) for flip in flips)
    shear = [draw(st.floats(-0.5, 0.5)) if turning else 0.0 for _ in range(2)]
    move = [draw(st.floats(-50, 150)) for _ in range(2)]
    return torch.tensor([[x, shear[0], move[0]], [shear[1], y, move[1]], [0, 0, 1]])


def assert_same(one, other):
    for name in ('bboxes', 'labels', 'scores', 'foreground_scores'):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=1e-3)
    assert one.reg_variance is None and other.reg_variance is None


@few
@given(st.lists(st.tuples(labels(), matrices()), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_together_is_as_one_by_one(images, random):
    own, ways = [labels for labels, _ in images], torch.stack([matrix for _, matrix in images])
    flags = [random.random() < 0.5 for labels in own for _ in range(len(labels))]
    place = iter(flags)
    chosen = [labels[torch.tensor([next(place) for _ in range(len(labels))], dtype=torch.bool)] for labels in own]
    for one, other in zip(together.select(own, flags), chosen, strict=True):
        assert_same(one, other)
    for one, other in zip(together.large(own, 10), (labels.larger_than(10) for labels in own), strict=True):
        assert_same(one, other)
    metas = [dict(img_shape=SHAPE)] * len(own)
    moved = [labels.project(matrix, SHAPE) for labels, matrix in zip(own, ways, strict=True)]
    for one, other in zip(together.project(own, ways, metas), moved, strict=True):
        assert_same(one, other)


@few
@given(labels(), matrices())
def test_a_moved_box_holds_the_corners_that_are_in_the_view(own, matrix):
    moved = own.project(matrix, SHAPE)
    assert len(moved) == len(own) and torch.equal(moved.scores, own.scores)
    limits = torch.tensor([100.0, 80.0])
    x1, y1, x2, y2 = own.bboxes.T
    for corner in ((x1, y1), (x1, y2), (x2, y1), (x2, y2)):
        point = (matrix @ torch.stack([*corner, torch.ones_like(x1)]))[:2].T
        point = torch.minimum(point.clamp(min=0), limits)
        assert (point >= moved.bboxes[:, :2] - 1e-2).all() and (point <= moved.bboxes[:, 2:] + 1e-2).all()
    assert (moved.bboxes >= 0).all() and (moved.bboxes <= limits.repeat(2)).all()


@few
@given(labels(), matrices(turning=False))
def test_there_and_back_gives_the_boxes_that_stayed_inside(own, matrix):
    large = (10_000, 10_000, 3)
    far = matrix.clone()
    far[:2, 2] = 1000.0  # nothing is cut off
    back = own.project(far, large).project(torch.linalg.inv(far), SHAPE)
    torch.testing.assert_close(back.bboxes, own.bboxes, rtol=0, atol=2e-2)
