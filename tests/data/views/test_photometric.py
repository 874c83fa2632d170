"""Color, gray, blur and noise: what they do, how often, and that they write into no shared image."""

import numpy as np
import pytest
from mmdet.datasets.builder import PIPELINES
from PIL import Image
from torchvision.transforms import functional as T

from ssod.data.views import BlurImage, EraseWithNoise, GrayColor, JitterColor

NOISE = dict(area=(0.05, 0.2), aspect=(0.3, 3.3), prob=1.0)
OPS = dict(JitterColor=dict(prob=1.0), GrayColor=dict(prob=1.0), BlurImage=dict(prob=1.0), EraseWithNoise=NOISE)


@pytest.fixture
def img():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize('name, settings', OPS.items())
def test_the_image_is_replaced_and_boxes_stay(img, name, settings):
    op, before = PIPELINES.build(dict(type=name, **settings)), img.copy()
    np.random.seed(0)
    results = op(dict(img=img, gt_bboxes='boxes'))
    assert results['img'] is not img and np.array_equal(img, before) and results['gt_bboxes'] == 'boxes'
    assert results['img'].shape == img.shape and results['img'].dtype == np.uint8
    assert not np.array_equal(results['img'], img)
    np.random.seed(0)
    assert np.array_equal(op(dict(img=img))['img'], results['img'])


@pytest.mark.parametrize('name, settings', OPS.items())
def test_as_often_as_its_probability_says(img, name, settings):
    np.random.seed(0)
    sometimes, never = (PIPELINES.build(dict(type=name, **{**settings, 'prob': prob})) for prob in (0.3, 0.0))
    drawn = [sometimes.draw(dict(img=img))['params'] is not None for _ in range(500)]
    assert 0.24 < np.mean(drawn) < 0.36
    assert never(dict(img=img))['img'] is img
    with pytest.raises(ValueError, match=f'{name}: prob is in'):
        PIPELINES.build(dict(type=name, **{**settings, 'prob': 2}))


def test_jitter_is_torchvisions_in_the_drawn_order_on_rgb(img):
    picture = Image.fromarray(img[..., ::-1])
    expected = T.adjust_contrast(T.adjust_hue(picture, 0.1), 1.4)
    expected = T.adjust_saturation(T.adjust_brightness(expected, 0.7), 0.6)
    found = JitterColor().run(img, order=[3, 1, 0, 2], factors=[0.7, 1.4, 0.6, 0.1])
    assert np.array_equal(found, np.asarray(expected)[..., ::-1])


def test_jitter_draws_within_its_ranges(img):
    np.random.seed(0)
    drawn = np.array([JitterColor(0.4, 0.2, 2.0, 0.1).draw_params(img.shape)['factors'] for _ in range(400)])
    assert np.allclose(drawn.min(axis=0), [0.6, 0.8, 0, -0.1], atol=0.03)
    assert np.allclose(drawn.max(axis=0), [1.4, 1.2, 3, 0.1], atol=0.03)


def test_gray_has_equal_channels_of_the_luminance(img):
    gray = GrayColor().run(img)
    assert (gray == gray[..., :1]).all()
    b, g, r = img.astype(float).transpose(2, 0, 1)
    assert np.abs(gray[..., 0] - (0.299 * r + 0.587 * g + 0.114 * b)).max() <= 1


def test_blur_spreads_a_point(img):
    point = np.zeros((21, 21, 3), np.uint8)
    point[10, 10] = 255
    blurred = BlurImage().run(point, radius=2.0)[..., 0].astype(float)
    assert blurred.argmax() == 10 * 21 + 10 and blurred[10, 10] < 20
    assert blurred.sum() == pytest.approx(255, rel=0.3) and np.abs(blurred - blurred.T).max() <= 1


def test_noise_has_the_drawn_area_and_aspect():
    op, shape = EraseWithNoise(area=(0.05, 0.2), aspect=(0.3, 3.3), prob=1.0), (400, 600, 3)
    np.random.seed(0)
    drawn = [op.draw_params(shape) for _ in range(200)]
    sizes = np.array([params['noise'].shape[:2] for params in drawn])
    shares, aspects = sizes.prod(axis=1) / (400 * 600), sizes[:, 0] / sizes[:, 1]
    assert 0.049 < shares.min() < 0.06 and 0.19 < shares.max() < 0.201
    assert 0.29 < aspects.min() < 0.4 and 2.8 < aspects.max() < 3.35
    for params, (height, width) in zip(drawn, sizes, strict=True):
        x, y = params['place']
        assert 0 <= x <= 600 - width and 0 <= y <= 400 - height
    found = op.run(img := np.zeros(shape, np.uint8), **drawn[0])
    x, y = drawn[0]['place']
    assert np.array_equal(found[y : y + sizes[0][0], x : x + sizes[0][1]], drawn[0]['noise'])
    assert np.count_nonzero(found.any(axis=2)) <= sizes[0].prod() and not img.any()


def test_where_no_rectangle_fits_there_is_none(img):
    op = EraseWithNoise(area=(1.0, 1.0), aspect=(1.0, 1.0), prob=1.0)
    assert np.array_equal(op(dict(img=img))['img'], img)
