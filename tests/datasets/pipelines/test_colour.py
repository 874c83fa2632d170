"""Colour ops against PIL on RGB, and against formulas worked out in numpy."""

import numpy as np
import pytest
from mmdet.datasets.builder import PIPELINES
from PIL import Image, ImageEnhance, ImageOps

from ssod.datasets.pipelines import colour

LEVELS = range(1, 10)


def factor(level):
    return 0.18 * level + 0.1


ON_RGB = dict(
    Identity=lambda image, level: image,
    AutoContrast=lambda image, level: ImageOps.autocontrast(image),
    Equalize=lambda image, level: ImageOps.equalize(image),
    Solarize=lambda image, level: ImageOps.solarize(image, min(int(25.6 * level), 255)),
    Posterize=lambda image, level: ImageOps.posterize(image, 4 - int(0.4 * level)),
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


@pytest.mark.parametrize('name', ON_RGB)
@pytest.mark.parametrize('level', LEVELS)
def test_each_op_is_pils_on_rgb(name, level):
    img = photo(level)
    img.flags.writeable = False
    op = PIPELINES.build(dict(type=name))
    results = op.apply(dict(img=img, img_fields=['img']), level=level)
    on_rgb = np.asarray(ON_RGB[name](Image.fromarray(img[..., ::-1]), level))
    np.testing.assert_array_equal(results['img'][..., ::-1], on_rgb)
    assert results['img'].dtype == np.uint8
    assert name == 'Identity' or results['img'].flags.writeable


@pytest.mark.parametrize('name', ['Color', 'Contrast'])
def test_the_swap_matters_where_it_is_made(name):
    img = photo()
    on_bgr = np.asarray(ON_RGB[name](Image.fromarray(img), 2))
    results = PIPELINES.build(dict(type=name)).apply(dict(img=img), level=2)
    assert not np.array_equal(results['img'], on_bgr)
    assert getattr(colour, name).mixes_channels


def test_formulas():
    img = photo()
    run = {name: PIPELINES.build(dict(type=name)).apply for name in ON_RGB}
    np.testing.assert_array_equal(run['Solarize'](dict(img=img), level=5)['img'], np.where(img < 128, img, 255 - img))
    np.testing.assert_array_equal(run['Posterize'](dict(img=img), level=9)['img'], img & 0b10000000)
    np.testing.assert_array_equal(run['Posterize'](dict(img=img), level=1)['img'], img & 0b11110000)
    np.testing.assert_array_equal(run['Posterize'](dict(img=img), level=15)['img'], img & 0b10000000)
    brighter = run['Brightness'](dict(img=img), level=9)['img']
    assert np.abs(brighter - np.minimum(img * 1.72, 255)).max() <= 1
    red, green, blue = (img[..., i].astype(float) for i in (2, 1, 0))
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]
    duller = run['Color'](dict(img=img), level=1)['img']
    assert np.abs(duller - (grey + 0.28 * (img - grey))).max() <= 1.5
    flatter = run['Contrast'](dict(img=img), level=1)['img']
    assert np.abs(flatter - (grey.mean() + 0.28 * (img - grey.mean()))).max() <= 1.5
    stretched = run['AutoContrast'](dict(img=img), level=1)['img']
    assert (stretched.min(axis=(0, 1)) == 0).all() and (stretched.max(axis=(0, 1)) == 255).all()


def test_levels_are_uniform_over_1_to_9():
    np.random.seed(0)
    op = colour.Brightness()
    counts = np.bincount([op.draw({})['level'] for _ in range(4500)], minlength=11)
    assert counts[0] == counts[10] == 0
    assert 400 < counts[1:10].min() and counts[1:10].max() < 600
    assert colour.Brightness(levels=(3, 3)).draw({}) == dict(level=3)


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
        colour.Solarize()(dict(img=img))


def test_names_were_free():
    """Every class in the registry under our names is ours."""
    assert all(PIPELINES.get(name) is getattr(colour, name) for name in ON_RGB)
