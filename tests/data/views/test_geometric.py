"""Geometric ops: image, boxes and recorded matrix against the host's ops, cv2 and hand-worked numbers."""

import cv2
import numpy as np
import pytest
from mmdet.datasets.pipelines import Compose, Pad, RandomFlip, Resize

from ssod.data.views import FlipWithMatrix, RandomRotate, RandomShear, RandomTranslate, ResizeWithMatrix
from ssod.data.views import transform_matrix as tm

H, W = 60, 80
AFFINE = [
    RandomTranslate(x=(-0.1, 0.1)),
    RandomTranslate(y=(-0.1, 0.1)),
    RandomRotate(),
    RandomShear(x=(-30, 30)),
    RandomShear(x=(-30, 30), y=(-30, 30), factor='tan'),
]


def sample(seed=0, boxes=((10, 10, 30, 40), (50, 5, 79, 20), (0, 0, 80, 60))):
    """An image of noise with boxes, labels, one ignored box and a segmentation map."""
    rng = np.random.RandomState(seed)
    img = rng.randint(0, 256, (H, W, 3), dtype=np.uint8)
    return dict(
        img=img,
        img_shape=img.shape,
        img_fields=['img'],
        bbox_fields=['gt_bboxes', 'gt_bboxes_ignore'],
        seg_fields=['gt_semantic_seg'],
        mask_fields=[],
        gt_bboxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        gt_labels=np.arange(len(boxes)),
        gt_bboxes_ignore=np.array([[5, 5, 9, 9]], dtype=np.float32),
        gt_semantic_seg=rng.randint(0, 20, (H, W), dtype=np.uint8),
    )


def frozen(results):
    """``results`` with every array made read-only: an op that writes into one fails."""
    for value in results.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return results


def corners(matrix, shape):
    """What ``matrix`` makes of the corners of an image of ``shape``, (4, 2)."""
    h, w = shape[:2]
    points = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]], dtype=np.float64)
    return (points @ matrix.T.astype(np.float64))[:, :2]


def test_resize_is_the_hosts_and_records_its_scale():
    host = Resize(img_scale=(200, 90))(sample())
    ours = ResizeWithMatrix(img_scale=(200, 90))(frozen(sample()))
    np.testing.assert_array_equal(ours['img'], host['img'])
    np.testing.assert_array_equal(ours['gt_bboxes'], host['gt_bboxes'])
    np.testing.assert_allclose(ours['transform_matrix'], np.diag([1.5, 1.5, 1]))
    whole_image = tm.transform_boxes(np.array([[0.0, 0, W, H]]), ours['transform_matrix'], (999, 999))
    np.testing.assert_allclose(whole_image, [[0, 0, 120, 90]], atol=1e-4)


def test_chained_resizes_multiply_up():
    steps = [
        ResizeWithMatrix(img_scale=(100, 50), keep_ratio=False),
        ResizeWithMatrix(img_scale=(333, 117), override=True),
        ResizeWithMatrix(img_scale=(40, 150), keep_ratio=False, override=True),
    ]
    results = Compose(steps)(frozen(sample()))
    h, w = results['img'].shape[:2]
    assert (h, w) == (150, 40)
    np.testing.assert_allclose(results['transform_matrix'], np.diag([w / W, h / H, 1]), atol=1e-5)
    np.testing.assert_allclose(
        tm.transform_boxes(sample()['gt_bboxes'], results['transform_matrix'], (h, w)), results['gt_bboxes'], atol=1e-3
    )


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flip_is_the_hosts_and_records_itself(direction):
    host = RandomFlip(flip_ratio=1.0, direction=direction)(sample())
    ours = FlipWithMatrix(flip_ratio=1.0, direction=direction)(frozen(sample()))
    np.testing.assert_array_equal(ours['img'], host['img'])
    np.testing.assert_array_equal(ours['gt_bboxes'], host['gt_bboxes'])
    moved = tm.transform_boxes(sample()['gt_bboxes'], ours['transform_matrix'], (H, W))
    np.testing.assert_allclose(moved, host['gt_bboxes'], atol=1e-4)
    assert ours['img'].flags.c_contiguous
    one_channel = dict(img=sample()['img'][..., :1])
    one_channel = FlipWithMatrix(flip_ratio=1.0, direction=direction)(one_channel)['img']
    np.testing.assert_array_equal(one_channel, host['img'][..., :1])


def test_flip_that_did_not_happen_leaves_the_matrix():
    before = tm.translate(3, 4)
    results = FlipWithMatrix(flip_ratio=0.0)(dict(sample(), transform_matrix=before))
    np.testing.assert_array_equal(results['transform_matrix'], before)
    np.testing.assert_array_equal(results['img'], sample()['img'])


def test_flips_happen_at_their_rate_and_the_record_follows():
    op = FlipWithMatrix(flip_ratio=0.5)
    np.random.seed(0)
    all_results = [op(dict(sample(), transform_matrix=tm.identity())) for _ in range(400)]
    flipped = np.array([results['flip'] for results in all_results])
    assert 0.42 < flipped.mean() < 0.58
    assert all((results['transform_matrix'][0, 0] == -1) == results['flip'] for results in all_results)


def test_two_flips_cancel():
    results = Compose([FlipWithMatrix(flip_ratio=1.0), FlipWithMatrix(flip_ratio=1.0)])(sample())
    np.testing.assert_allclose(results['transform_matrix'], np.eye(3), atol=1e-5)
    np.testing.assert_array_equal(results['img'], sample()['img'])


@pytest.mark.parametrize('op', AFFINE, ids=repr)
def test_one_matrix_three_uses(op):
    np.random.seed(3)
    params = op.draw(sample())
    before = sample()
    out = op.apply(frozen(sample()), **params)
    matrix = op.matrix((H, W), **params)
    assert not np.allclose(matrix, np.eye(3))
    expected = cv2.warpAffine(
        before['img'], matrix[:2], (W, H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=[125] * 3
    )
    np.testing.assert_array_equal(out['img'], expected)
    assert out['img'].dtype == np.uint8
    seg = cv2.warpAffine(
        before['gt_semantic_seg'], matrix[:2], (W, H), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT,
        borderValue=255,
    )  # fmt: skip
    np.testing.assert_array_equal(out['gt_semantic_seg'], seg)
    np.testing.assert_allclose(out['gt_bboxes'], tm.transform_boxes(before['gt_bboxes'], matrix, (H, W)))
    np.testing.assert_allclose(out['transform_matrix'], matrix)


@pytest.mark.parametrize('op', AFFINE, ids=repr)
@pytest.mark.parametrize('size', [(1, 1), (2, 5), (33, 47), (64, 64), (201, 333)])
def test_any_size_is_warped_as_opencv_warps_three_channels(op, size):
    rng = np.random.RandomState(sum(size))
    np.random.seed(sum(size))
    for _ in range(10):
        img, params = rng.randint(0, 256, (*size, 3)).astype(np.uint8), op.draw({})
        matrix = op.matrix(size, **params)
        expected = cv2.warpAffine(img, matrix[:2], size[::-1], flags=cv2.INTER_LINEAR, borderValue=(125, 125, 125))
        np.testing.assert_array_equal(op.apply(dict(img=img), **params)['img'], expected.reshape(img.shape))


@pytest.mark.parametrize('op', AFFINE, ids=repr)
def test_same_seed_same_result(op):
    np.random.seed(7)
    first = op(sample())
    np.random.seed(7)
    second = op(sample())
    third = op(sample())
    np.testing.assert_array_equal(first['img'], second['img'])
    np.testing.assert_array_equal(first['transform_matrix'], second['transform_matrix'])
    assert not np.array_equal(second['transform_matrix'], third['transform_matrix'])


@pytest.mark.parametrize('op', AFFINE, ids=repr)
def test_warp_and_its_inverse_give_the_image_back(op):
    """A smooth image warped by the op, then by the inverse of the recorded matrix, is itself where it stayed inside."""
    ys, xs = np.mgrid[:H, :W]
    img = np.stack([xs * 3, ys * 4, xs + ys], axis=-1).astype(np.uint8)
    np.random.seed(1)
    out = op(dict(img=img))
    inverse = np.linalg.inv(out['transform_matrix'].astype(np.float64))
    back = cv2.warpAffine(out['img'], inverse[:2], (W, H))
    inside = cv2.warpAffine(np.full((H, W), 255, np.uint8), out['transform_matrix'][:2], (W, H))
    inside = cv2.erode(cv2.warpAffine(inside, inverse[:2], (W, H)), np.ones((5, 5))) == 255
    assert inside.sum() > 1000
    assert np.abs(back.astype(int) - img)[inside].max() <= 4


def test_translate_by_hand():
    out = RandomTranslate(x=(0, 1), y=(0, 1)).apply(frozen(sample()), x=0.25, y=-0.5)  # 20 px right, 30 px up
    np.testing.assert_array_equal(out['img'][:30, 20:], sample()['img'][30:, :60])
    assert (out['img'][:, :20] == 125).all() and (out['img'][30:] == 125).all()
    # The second box leaves at the top; the third is cut to the view.
    np.testing.assert_allclose(out['gt_bboxes'], [[30, 0, 50, 10], [20, 0, 80, 30]])
    np.testing.assert_array_equal(out['gt_labels'], [0, 2])
    assert out['gt_bboxes_ignore'].shape == (0, 4)


def test_min_size_drops_slivers():
    op = RandomTranslate(x=(0, 1), min_size=8)
    out = op.apply(sample(boxes=[(0, 0, 20, 20), (50, 0, 76, 8), (68, 0, 80, 20)]), x=-0.125)  # 10 px left
    np.testing.assert_allclose(out['gt_bboxes'], [[0, 0, 10, 20], [58, 0, 70, 20]])
    np.testing.assert_array_equal(out['gt_labels'], [0, 2])


def test_labels_of_ignored_boxes_are_kept_in_step():
    results = dict(sample(), gt_bboxes_ignore=np.float32([[0, 0, 9, 9], [40, 0, 60, 9]]), gt_labels_ignore=np.arange(2))
    out = RandomTranslate(x=(0, 1)).apply(results, x=-0.25)
    np.testing.assert_array_equal(out['gt_labels_ignore'], [1])
    np.testing.assert_allclose(out['gt_bboxes_ignore'], [[20, 0, 40, 9]])


def test_rotate_turns_clockwise_about_the_middle():
    img = np.zeros((H, W, 3), np.uint8)
    img[:, W // 2 :] = 200  # the right half is bright: a quarter turn clockwise puts it at the bottom
    out = RandomRotate(fill=0).apply(dict(img=img), angle=90)
    assert out['img'][H // 2 + 2 :, 20:60].min() == 200 and out['img'][: H // 2 - 2].max() == 0
    middle = out['transform_matrix'] @ ((W - 1) / 2, (H - 1) / 2, 1)
    np.testing.assert_allclose(middle[:2], ((W - 1) / 2, (H - 1) / 2), atol=1e-4)


def test_shear_factors():
    angle = np.deg2rad(30)
    ours = RandomShear(x=(0, 1), y=(0, 1)).matrix((H, W), x=30, y=0)
    np.testing.assert_allclose(ours, [[1, np.tanh(angle), 0], [0, 1, 0], [0, 0, 1]], atol=1e-6)
    paper = RandomShear(x=(0, 1), y=(0, 1), factor='tan').matrix((H, W), x=0, y=-30)
    np.testing.assert_allclose(paper, [[1, 0, 0], [-np.tan(angle), 1, 0], [0, 0, 1]], atol=1e-6)


def test_draws_stay_in_range_and_unused_axes_at_rest():
    np.random.seed(0)
    draws = [RandomShear(x=(-30, 10)).draw({}) for _ in range(300)]
    xs = np.array([draw['x'] for draw in draws])
    assert xs.min() < -28 and xs.max() > 8 and xs.min() >= -30 and xs.max() <= 10
    assert {draw['y'] for draw in draws} == {0.0}


@pytest.mark.parametrize('op', AFFINE, ids=repr)
def test_empty_boxes_and_no_boxes(op):
    out = op(sample(boxes=()))
    assert out['gt_bboxes'].shape == (0, 4) and out['gt_labels'].shape == (0,)
    bare = op(dict(img=sample()['img']))
    assert set(bare) == {'img', 'transform_matrix'}


def test_one_channel_and_float_images_keep_shape_and_type():
    img = np.ones((H, W, 1), np.float32)
    out = RandomTranslate(x=(0.1, 0.1))(dict(img=img))['img']
    assert out.shape == img.shape and out.dtype == np.float32 and out[0, 0, 0] == 125


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"RandomRotate cannot move keypoint_fields \['gt_points'\] yet"):
        RandomRotate()(dict(sample(), keypoint_fields=['gt_points']))
    for op in (RandomRotate(), FlipWithMatrix(flip_ratio=1.0)):
        with pytest.raises(ValueError, match='before Pad'):
            op(Pad(size_divisor=32)(sample()))
    with pytest.raises(ValueError, match='factor'):
        RandomShear(x=(-30, 30), factor='sin')
    for cls in (RandomShear, RandomTranslate):
        with pytest.raises(ValueError, match='x, y or both'):
            cls()


def test_a_chain_of_all_ops_maps_the_corners_of_the_original():
    np.random.seed(2)
    shear = RandomShear(x=(5, 5))
    steps = [
        ResizeWithMatrix(img_scale=(160, 120)),
        FlipWithMatrix(flip_ratio=1.0),
        shear,
        RandomTranslate(y=(0.1, 0.1)),
    ]
    results = Compose(steps)(frozen(sample()))
    # By hand: doubled, mirrored in 160 px, sheared by tanh(5 deg), moved 12 px down.
    xy = corners(np.eye(3), (H, W)) * 2
    xy[:, 0] = 160 - xy[:, 0]
    xy[:, 0] += np.tanh(np.deg2rad(5)) * xy[:, 1]
    xy[:, 1] += 12
    np.testing.assert_allclose(corners(results['transform_matrix'], (H, W)), xy, atol=1e-3)
