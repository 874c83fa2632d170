"""Every geometric op beside a computation from first principles: image, boxes and matrix, both directions.

The images come from a bilinear warp written out in numpy and from Pillow's, the boxes from a loop over corners, the
matrices from the formulas written down here.
"""

import numpy as np
import pytest
from PIL import Image

from ssod.data.views import FlipWithMatrix, RandomRotate, RandomShear, RandomTranslate, ResizeWithMatrix

H, W = 60, 80
BOXES = np.float32([[10, 10, 30, 40], [50, 5, 79, 20], [0, 0, 80, 60], [25.5, 28.25, 33, 37.75]])
LINEAR = np.stack([3 * np.mgrid[:H, :W][1], 4 * np.mgrid[:H, :W][0], np.mgrid[:H, :W].sum(axis=0)], -1).astype(np.uint8)
NOISE = np.random.RandomState(0).randint(0, 256, (H, W, 3), dtype=np.uint8)

MOVE_X, MOVE_Y, TURN = RandomTranslate(x=(-0.1, 0.1)), RandomTranslate(y=(-0.1, 0.1)), RandomRotate(angle=(-30, 30))
SHEAR = {(axis, factor): RandomShear(**{axis: (-30, 30)}, factor=factor) for axis in 'xy' for factor in ('tanh', 'tan')}


def turned(cos, sin):
    """Clockwise as seen (y runs down), about the middle of 80 x 60 pixels counted from 0: (39.5, 29.5)."""
    return [[cos, -sin, 39.5 - cos * 39.5 + sin * 29.5], [sin, cos, 29.5 - sin * 39.5 - cos * 29.5], [0, 0, 1]]


# Op, what it is told, the matrix. tanh(30 deg) = tanh(0.5236) = 0.48047, tan(30 deg) = 0.57735.
CASES = [
    (MOVE_X, dict(x=0.1), [[1, 0, 8], [0, 1, 0], [0, 0, 1]]),
    (MOVE_X, dict(x=-0.1), [[1, 0, -8], [0, 1, 0], [0, 0, 1]]),
    (MOVE_X, dict(x=0.03), [[1, 0, 2.4], [0, 1, 0], [0, 0, 1]]),
    (MOVE_Y, dict(y=0.1), [[1, 0, 0], [0, 1, 6], [0, 0, 1]]),
    (MOVE_Y, dict(y=-0.1), [[1, 0, 0], [0, 1, -6], [0, 0, 1]]),
    (MOVE_Y, dict(y=-0.07), [[1, 0, 0], [0, 1, -4.2], [0, 0, 1]]),
    (TURN, dict(angle=30), turned(0.8660254, 0.5)),
    (TURN, dict(angle=-30), turned(0.8660254, -0.5)),
    (TURN, dict(angle=7), turned(0.99254615, 0.12186934)),
    (SHEAR['x', 'tanh'], dict(x=30), [[1, 0.4804728, 0], [0, 1, 0], [0, 0, 1]]),
    (SHEAR['x', 'tanh'], dict(x=-30), [[1, -0.4804728, 0], [0, 1, 0], [0, 0, 1]]),
    (SHEAR['y', 'tanh'], dict(y=30), [[1, 0, 0], [0.4804728, 1, 0], [0, 0, 1]]),
    (SHEAR['y', 'tanh'], dict(y=-30), [[1, 0, 0], [-0.4804728, 1, 0], [0, 0, 1]]),
    (SHEAR['x', 'tan'], dict(x=30), [[1, 0.5773503, 0], [0, 1, 0], [0, 0, 1]]),
    (SHEAR['x', 'tan'], dict(x=-30), [[1, -0.5773503, 0], [0, 1, 0], [0, 0, 1]]),
    (SHEAR['y', 'tan'], dict(y=30), [[1, 0, 0], [0.5773503, 1, 0], [0, 0, 1]]),
    (SHEAR['y', 'tan'], dict(y=-30), [[1, 0, 0], [-0.5773503, 1, 0], [0, 0, 1]]),
]
each_case = pytest.mark.parametrize(
    'op, params, matrix', CASES, ids=[f'{type(op).__name__}-{params}' for op, params, _ in CASES]
)


def sample(img=NOISE):
    results = dict(img=img, img_shape=img.shape, img_fields=['img'], bbox_fields=['gt_bboxes'], gt_bboxes=BOXES)
    return dict(results, gt_labels=np.arange(len(BOXES)))


def warped(img, matrix, shape, offset=0.0, fill=None):
    """Bilinear warp in floating point: every pixel of the new image asks where it came from.

    Args:
        matrix: (3, 3), old -> new.
        shape: (h, w) of the new image.
        offset: place of a pixel's centre: 0 where positions count from the first centre, 0.5 from the image's edge.
        fill: value outside the old image; None: its border goes on.
    """
    how = dict(mode='edge') if fill is None else dict(constant_values=fill)
    old = np.pad(img.astype(float), ((2, 2), (2, 2), (0, 0)), **how)
    ys, xs = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([xs + offset, ys + offset, np.ones_like(xs)], axis=-1)
    x, y, _ = np.moveaxis(centres @ np.linalg.inv(matrix).T - offset, -1, 0)
    x, y = x.clip(-1, img.shape[1]) + 2, y.clip(-1, img.shape[0]) + 2
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_part, low_part = (x - left)[..., None], (y - top)[..., None]
    upper = old[top, left] * (1 - right_part) + old[top, left + 1] * right_part
    lower = old[top + 1, left] * (1 - right_part) + old[top + 1, left + 1] * right_part
    return upper * (1 - low_part) + lower * low_part


def moved_boxes(matrix, shape):
    """The hull of each box's four moved corners, cut to the view; then which boxes are left."""
    moved = []
    for x1, y1, x2, y2 in BOXES:
        corners = [np.asarray(matrix) @ (x, y, 1) for x in (x1, x2) for y in (y1, y2)]
        xs = [min(max(x, 0), shape[1]) for x, _, _ in corners]
        ys = [min(max(y, 0), shape[0]) for _, y, _ in corners]
        moved.append([min(xs), min(ys), max(xs), max(ys)])
    return np.array(moved), [i for i, (x1, y1, x2, y2) in enumerate(moved) if x2 > x1 and y2 > y1]


def clear_of_borders(matrix):
    """Which pixels lie two pixels or more inside the original, and inside the view that ``matrix`` leads to."""
    ys, xs = np.mgrid[:H, :W]
    moved = np.moveaxis(np.stack([xs, ys, np.ones_like(xs)], axis=-1) @ np.transpose(matrix), -1, 0)
    return np.all([(2 <= x) & (x <= W - 3) & (2 <= y) & (y <= H - 3) for x, y in ((xs, ys), moved[:2])], axis=0)


@each_case
def test_warp(op, params, matrix):
    out = op.apply(sample(), **params)
    np.testing.assert_allclose(out['transform_matrix'], matrix, atol=2e-6)
    # Up to rounding, fill and its blending at the border included (OpenCV 5; OpenCV 4 rounds positions to 1/32 pixel).
    assert np.abs(out['img'] - warped(NOISE, matrix, (H, W), fill=125)).max() <= 0.51
    boxes, left = moved_boxes(matrix, (H, W))
    np.testing.assert_allclose(out['gt_bboxes'], boxes[left], atol=1e-4)
    assert out['gt_labels'].tolist() == left and len(left) >= 3


@each_case
def test_warp_is_pillows(op, params, matrix):
    """Pillow counts from the image's edge, hence the half pixel; within two pixels of a border it does not blend."""
    out = op.apply(sample(), **params)['img']
    to_edge = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    back = to_edge @ np.linalg.inv(matrix) @ np.linalg.inv(to_edge)
    size, coefficients = (W, H), tuple(back[:2].reshape(-1))
    pillow = Image.fromarray(NOISE).transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    clear = clear_of_borders(np.linalg.inv(matrix))  # from the view's pixels to the original's
    assert clear.sum() > 1500
    assert np.abs(out.astype(int) - np.asarray(pillow))[clear].max() <= 1


@each_case
def test_there_and_back(op, params, matrix):
    """The opposite op undoes the op: matrix, boxes, and (on an image that bilinear sampling keeps) every pixel."""
    opposite = {name: -value for name, value in params.items()}
    there = op.apply(sample(LINEAR), **params)
    np.testing.assert_allclose(np.linalg.inv(there['transform_matrix']), op.matrix((H, W), **opposite), atol=1e-5)
    back = op.apply(there, **opposite)
    np.testing.assert_allclose(back['transform_matrix'], np.eye(3), atol=1e-5)
    stayed = clear_of_borders(matrix)
    assert stayed.sum() > 1500
    assert np.abs(back['img'].astype(int) - LINEAR)[stayed].max() <= 1  # rounded twice, by half at most
    # The last box is in the view all the while. The hull of its hull is around it, or itself where nothing turns.
    box = back['gt_bboxes'][-1]
    assert (box[:2] <= BOXES[-1, :2] + 1e-4).all() and (box[2:] >= BOXES[-1, 2:] - 1e-4).all()
    if isinstance(op, RandomTranslate):
        np.testing.assert_allclose(box, BOXES[-1], atol=1e-4)


def test_shear_along_both_axes_is_x_then_y():
    a, b = 0.4804728, -0.1763355  # tanh of 30 and of -10.21 degrees
    both = RandomShear(x=(-30, 30), y=(-30, 30)).apply(sample(), x=30, y=-10.21)
    hand = [[1, a, 0], [b, 1 + a * b, 0], [0, 0, 1]]
    np.testing.assert_allclose(both['transform_matrix'], hand, atol=1e-5)
    assert np.abs(both['img'] - warped(NOISE, both['transform_matrix'], (H, W), fill=125)).max() <= 0.51
    # As the strong view has it, two ops: one matrix the same, the image warped twice.
    twice = SHEAR['y', 'tanh'].apply(SHEAR['x', 'tanh'].apply(sample(), x=30), y=-10.21)
    np.testing.assert_allclose(twice['transform_matrix'], hand, atol=1e-5)
    first = np.rint(warped(NOISE, [[1, a, 0], [0, 1, 0], [0, 0, 1]], (H, W), fill=125))
    second = warped(first, [[1, 0, 0], [b, 1, 0], [0, 0, 1]], (H, W), fill=125)
    assert np.abs(twice['img'] - second).max() <= 1.01  # a half rounded the other way in the first warp


@pytest.mark.parametrize('size', [(160, 120), (120, 90), (100, 30), (53, 41)])
def test_resize(size):
    """Up, by a fraction, by different factors, down; then back to the size it had."""
    w, h = size
    matrix = [[w / W, 0, 0], [0, h / H, 0], [0, 0, 1]]
    out = ResizeWithMatrix(img_scale=size, keep_ratio=False)(sample())
    np.testing.assert_allclose(out['transform_matrix'], matrix, rtol=1e-6)
    # A level more than rounding: OpenCV weighs in steps of 1/2048, along x, then along y.
    assert np.abs(out['img'] - warped(NOISE, matrix, (h, w), offset=0.5)).max() <= 1
    np.testing.assert_allclose(out['gt_bboxes'], BOXES * [w / W, h / H, w / W, h / H], rtol=1e-6)
    # Pillow's affine warp counts from the edge as well, and does not smooth what it makes smaller.
    coefficients = (W / w, 0, 0, 0, H / h, 0)
    pillow = Image.fromarray(NOISE).transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    assert np.abs(out['img'].astype(int) - np.asarray(pillow))[2:-2, 2:-2].max() <= 1

    smooth = ResizeWithMatrix(img_scale=size, keep_ratio=False)(sample(LINEAR))
    back = ResizeWithMatrix(img_scale=(W, H), keep_ratio=False, override=True)
    back = back({key: value for key, value in smooth.items() if key not in ('scale', 'scale_factor')})
    np.testing.assert_allclose(back['transform_matrix'], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(back['gt_bboxes'], BOXES, rtol=1e-5)
    assert np.abs(back['img'].astype(int) - LINEAR)[4:-4, 4:-4].max() <= 2


@pytest.mark.parametrize(
    'direction, picture, matrix',
    [
        ('horizontal', NOISE[:, ::-1], [[-1, 0, 80], [0, 1, 0], [0, 0, 1]]),
        ('vertical', NOISE[::-1], [[1, 0, 0], [0, -1, 60], [0, 0, 1]]),
        ('diagonal', NOISE[::-1, ::-1], [[-1, 0, 80], [0, -1, 60], [0, 0, 1]]),
    ],
)
def test_flip(direction, picture, matrix):
    op = FlipWithMatrix(flip_ratio=1.0, direction=direction)
    out = op(sample())
    np.testing.assert_array_equal(out['img'], picture)
    assert np.abs(out['img'] - warped(NOISE, matrix, (H, W), offset=0.5)).max() < 1e-6  # as the matrix says it
    np.testing.assert_array_equal(out['transform_matrix'], matrix)
    np.testing.assert_allclose(out['gt_bboxes'], moved_boxes(matrix, (H, W))[0], atol=1e-5)
    back = op(out)
    np.testing.assert_array_equal(back['img'], NOISE)
    np.testing.assert_array_equal(back['transform_matrix'], np.eye(3))
    np.testing.assert_allclose(back['gt_bboxes'], BOXES, atol=1e-5)


@pytest.mark.parametrize(
    'op, name, low, high',
    [
        (MOVE_X, 'x', -0.1, 0.1),
        (MOVE_Y, 'y', -0.1, 0.1),
        (TURN, 'angle', -30, 30),
        (SHEAR['x', 'tanh'], 'x', -30, 30),
        (SHEAR['y', 'tan'], 'y', -30, 30),
    ],
)
def test_draws_are_uniform(op, name, low, high):
    np.random.seed(0)
    draws = np.sort([op.draw({})[name] for _ in range(2000)])
    # Kolmogorov-Smirnov: above 1.95 / sqrt(2000) = 0.044 once in a thousand.
    assert np.abs((draws - low) / (high - low) - np.linspace(0, 1, 2000)).max() < 0.044


def test_the_short_side_is_drawn_uniformly_and_the_long_one_limited():
    op = ResizeWithMatrix(img_scale=[(1333, 400), (1333, 1200)], multiscale_mode='range', keep_ratio=True)
    np.random.seed(0)
    shapes = np.array([op(dict(img=np.zeros((48, 64, 1), np.uint8)))['img_shape'][:2] for _ in range(400)])
    assert shapes[:, 1].max() == 1333 and shapes[:, 0].min() >= 400
    drawn, limited = shapes[shapes[:, 1] < 1333, 0], (shapes[:, 1] == 1333).mean()
    assert limited == pytest.approx(1 - (1000 - 400) / 801, abs=0.087)  # short sides from 1000 on: four deviations
    assert np.abs(np.sort((drawn - 400) / 600) - np.linspace(0, 1, len(drawn))).max() < 1.95 / np.sqrt(len(drawn))
