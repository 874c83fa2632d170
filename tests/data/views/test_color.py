"""Color ops against PIL on RGB, and against formulas worked out in numpy."""

import cv2
import numpy as np
import pytest
from mmdet.datasets.builder import PIPELINES
from PIL import Image, ImageEnhance, ImageOps

from ssod.data.views import color

LEVELS = range(1, 10)


def factor(level):
    return 0.18 * level + 0.1


ON_RGB = dict(
    Identity=lambda image, level: image,
    AutoContrast=lambda image, level: ImageOps.autocontrast(image),
    Equalize=lambda image, level: ImageOps.equalize(image),
    Solarize=lambda image, level: ImageOps.solarize(image, min(int(25.6 * level), 255)),
    Posterize=lambda image, level: ImageOps.posterize(image, max(4 - int(0.4 * level), 1)),
    Color=lambda image, level: ImageEnhance.Color(image).enhance(factor(level)),
    Contrast=lambda image, level: ImageEnhance.Contrast(image).enhance(factor(level)),
    Brightness=lambda image, level: ImageEnhance.Brightness(image).enhance(factor(level)),
    Sharpness=lambda image, level: ImageEnhance.Sharpness(image).enhance(factor(level)),
)


def photo(seed=0):
    """(48, 64, 3) uint8 BGR, its three channels of clearly different ranges, so that a wrong order shows."""
    rng = np.random.RandomState(seed)
    low, high = np.array([10, 60, 90]), np.array([120, 200, 250])
    img = rng.randint(0, 256, (48, 64, 3)) * (high - low) // 255 + low
    return img.astype(np.uint8)


def pictures(seed):
    """Noise; a ramp of all values; one color throughout; a single pixel."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 4).reshape(32, 32)
    flat = np.full((7, 9, 3), (20, 130, 240), np.uint8)
    return photo(seed), np.stack([ramp, ramp[::-1], ramp.T], axis=-1), flat, flat[:1, :1]


@pytest.mark.parametrize('name', ON_RGB)
@pytest.mark.parametrize('level', LEVELS)
def test_each_op_is_pils_on_rgb(name, level):
    op = PIPELINES.build(dict(type=name))
    for img in pictures(level):
        img.flags.writeable = False
        results = op.apply(dict(img=img, img_fields=['img']), level=level)
        on_rgb = np.asarray(ON_RGB[name](Image.fromarray(img[..., ::-1]), level))
        np.testing.assert_array_equal(results['img'][..., ::-1], on_rgb)
        assert results['img'].dtype == np.uint8
        assert name == 'Identity' or results['img'].flags.writeable


@pytest.mark.parametrize('name', ON_RGB)
@pytest.mark.parametrize('size', [(1, 1), (1, 5), (2, 3), (3, 2), (17, 33), (131, 257)])
def test_each_op_is_pils_on_any_size_and_range(name, size):
    rng = np.random.RandomState(sum(size))
    op = PIPELINES.build(dict(type=name))
    for level in range(12):
        low = rng.randint(0, 255, 3)
        img = rng.randint(low, rng.randint(low + 1, 257), (*size, 3)).astype(np.uint8)
        if level % 3 == 0:  # smooth as a photo: neighbours are alike
            img = cv2.blur(img, (5, 5))
        on_rgb = np.asarray(ON_RGB[name](Image.fromarray(img[..., ::-1]), level))
        np.testing.assert_array_equal(op.apply(dict(img=img), level=level)['img'][..., ::-1], on_rgb)


PAIRS = np.stack(np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8)))


@pytest.mark.parametrize('level', range(12))
def test_blends_are_pils_for_every_pair_of_values(level):
    one, other = (np.ascontiguousarray(values) for values in PAIRS)
    expected = Image.blend(Image.fromarray(one), Image.fromarray(other), factor(level))
    np.testing.assert_array_equal(color._blend(one, other, factor(level)), np.asarray(expected))


def test_opencv_blends_at_every_level_but_the_one_where_it_differs():
    assert [level for level in LEVELS if not color._blends_agree(factor(level))] == [6]


@pytest.mark.parametrize('level', LEVELS)
def test_contrast_is_pils_for_every_mean(level):
    for mean in range(256):
        img = np.full((2, 256, 3), mean, np.uint8)
        img[0] = np.arange(256)[:, None]
        img[1] = np.clip(2 * mean - np.arange(256), 0, 255)[:, None]
        out = color.Contrast().apply(dict(img=img), level=level)['img']
        np.testing.assert_array_equal(out, np.asarray(ON_RGB['Contrast'](Image.fromarray(img), level)))


@pytest.mark.parametrize('name', ['Color', 'Contrast'])
def test_the_swap_matters_where_it_is_made(name):
    img = photo()
    on_bgr = np.asarray(ON_RGB[name](Image.fromarray(img), 2))
    assert not np.array_equal(PIPELINES.build(dict(type=name)).apply(dict(img=img), level=2)['img'], on_bgr)


def blend(degenerate, img, level):
    """What the enhancers do: away from the degenerate image by 0.18 l + 0.1, beyond the image above 1."""
    return np.clip(degenerate + factor(level) * (img.astype(float) - degenerate), 0, 255)


def grey(img):
    """(H, W, 1) luma, as JPEG has it."""
    return (img[..., ::-1] @ [0.299, 0.587, 0.114])[..., None]


def smooth(img):
    """Each inner pixel five times and its eight neighbours once, over 13; the rim as it is."""
    out = img.astype(float)
    h, w = img.shape[:2]
    for y in range(1, h - 1):
        for x in range(1, w - 1):
            out[y, x] = (img[y - 1 : y + 2, x - 1 : x + 2].sum(axis=(0, 1), dtype=float) + 4.0 * img[y, x]) / 13
    return out


def equalized(img):
    """Each channel by the number of pixels that are darker, in 255 steps."""
    out = img.copy()
    for channel in range(3):
        values = img[..., channel]
        step = (values.size - (values == values.max()).sum()) // 255
        darker = np.array([(values < value).sum() for value in range(256)])
        out[..., channel] = np.minimum((darker + step // 2) // step, 255)[values]
    return out


@pytest.mark.parametrize('level', LEVELS)
def test_formulas(level):
    img = photo(level)
    low, high = img.min(axis=(0, 1)).astype(float), img.max(axis=(0, 1))
    threshold, kept = int(25.6 * level), 2 ** (8 - (4 - int(0.4 * level)))
    # Pillow drops the fraction: up to one level. It rounds the grey and the smooth before: half a level times 0.72.
    expected = dict(
        Solarize=(np.where(img < threshold, img, 255 - img), 0),
        Posterize=(img // kept * kept, 0),
        Equalize=(equalized(img), 0),
        AutoContrast=((img - low) * 255 / (high - low), 1.01),
        Brightness=(blend(0, img, level), 1.01),
        Contrast=(blend(grey(img).mean(), img, level), 1.37),
        Color=(blend(grey(img), img, level), 1.37),
        Sharpness=(blend(smooth(img), img, level), 1.37),
    )
    for name, (picture, bound) in expected.items():
        out = PIPELINES.build(dict(type=name)).apply(dict(img=img), level=level)['img']
        assert np.abs(out - np.asarray(picture, float)).max() <= bound, name


def test_levels_by_hand():
    img = photo()
    run = {name: PIPELINES.build(dict(type=name)).apply for name in ON_RGB}
    for name in ('Color', 'Contrast', 'Brightness', 'Sharpness'):  # 0.18 * 5 + 0.1 = 1
        np.testing.assert_array_equal(run[name](dict(img=img), level=5)['img'], img)
    for level, bits in zip(LEVELS, (4, 4, 3, 3, 2, 2, 2, 1, 1), strict=True):
        values = np.unique(run['Posterize'](dict(img=pictures(0)[1]), level=level)['img'])
        assert len(values) == 2**bits and (np.diff(values) == 2 ** (8 - bits)).all()
    np.testing.assert_array_equal(run['Posterize'](dict(img=img), level=15)['img'], img & 0b10000000)
    for level, threshold in zip(LEVELS, (25, 51, 76, 102, 128, 153, 179, 204, 230), strict=True):
        values = np.array([threshold - 1, threshold, 255] * 3, np.uint8).reshape(1, 3, 3)
        solarized = run['Solarize'](dict(img=values), level=level)['img']
        assert solarized[0, 0].tolist() == [threshold - 1, 255 - threshold, 0]
    assert (
        run['Solarize'](dict(img=np.full((1, 1, 3), 254, np.uint8)), level=10)['img'] == 254
    ).all()  # at 255, not 256


def test_levels_are_uniform_over_1_to_9():
    np.random.seed(0)
    op = color.Brightness()
    counts = np.bincount([op.draw({})['level'] for _ in range(4500)], minlength=11)
    assert counts[0] == counts[10] == 0
    assert 400 < counts[1:10].min() and counts[1:10].max() < 600
    assert color.Brightness(levels=(3, 3)).draw({}) == dict(level=3)


@pytest.mark.parametrize('name', ON_RGB)
def test_same_seed_same_result_and_boxes_stay(name):
    op = PIPELINES.build(dict(type=name))
    outs = []
    for _ in range(2):
        np.random.seed(5)
        outs.append(op(dict(img=photo(), bbox_fields=['gt_bboxes'], gt_bboxes=np.zeros((0, 4), np.float32))))
    np.testing.assert_array_equal(outs[0]['img'], outs[1]['img'])
    assert outs[0]['gt_bboxes'].shape == (0, 4)
    assert 'transform_matrix' not in outs[0]


def test_a_mirrored_view_is_read_rightly():
    """mmcv's flip gives an array that runs backwards in memory."""
    for name in ON_RGB:
        op = PIPELINES.build(dict(type=name))
        mirrored = op.apply(dict(img=photo()[:, ::-1]), level=4)['img']
        np.testing.assert_array_equal(mirrored, op.apply(dict(img=photo()), level=4)['img'][:, ::-1])


@pytest.mark.parametrize('img', [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8)])
def test_other_images_are_refused(img):
    with pytest.raises(ValueError, match='Solarize wants'):
        color.Solarize()(dict(img=img))


def test_names_were_free():
    """Every class in the registry under our names is ours."""
    assert all(PIPELINES.get(name) is getattr(color, name) for name in ON_RGB)
