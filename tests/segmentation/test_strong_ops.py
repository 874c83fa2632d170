"""The strong augmentation's operations: the authors' pixels, the table's formulas, statistics of what is drawn."""

import cv2
import numpy as np
import pytest
from segmentation_golden import OFFICIAL, case

from ssod.segmentation.strong_ops import OPS

GRAY = np.full((200, 240, 3), 128, np.uint8)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize('name', OFFICIAL['randaug']['outputs'])
def test_pixels_are_the_authors(name):
    np.testing.assert_array_equal(
        OPS[name](case.augmentation_image(), magnitude=20), OFFICIAL['randaug']['outputs'][name]
    )


def test_the_table_has_the_authors_17_operations_in_their_order():
    names = 'contrast_gamma contrast_linear brightness brightness_channel equalize hsv invert_channel blur noise_gau '
    names += 'noise_pos channle_shuffle dropout coarse_dropout multiply salt_pepper solarize jpeg_compression'
    assert list(OPS) == names.split()


@pytest.mark.parametrize('name', OPS)
def test_every_operation_gives_a_new_uint8_image_of_any_shape_and_leaves_its_input(name, photo):
    for image in (photo, photo[:1, :7], np.zeros_like(photo), np.full_like(photo, 255)):
        before = image.copy()
        found = OPS[name](image)
        assert found.dtype == np.uint8 and found.shape == image.shape
        assert not np.shares_memory(found, image) and np.array_equal(image, before)
    np.random.seed(3)
    first = OPS[name](photo)
    np.random.seed(3)
    assert np.array_equal(OPS[name](photo), first)


def test_tables_of_levels(photo):
    levels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    v = np.arange(256)
    gamma = OPS['contrast_gamma'](levels)[0, :, 0].astype(int)
    assert 0 < np.abs(gamma - v).max() <= 2 and (gamma[0], gamma[255]) == (0, 255)
    linear = OPS['contrast_linear'](levels)[0, :, 0]
    assert [linear[i] for i in (0, 26, 27, 127, 128, 227, 228, 255)] == [0, 0, 0, 127, 128, 253, 255, 255]
    assert np.array_equal(OPS['brightness'](levels)[0, :, 1], np.minimum(v + 16, 255))
    assert np.array_equal(OPS['brightness'](levels, magnitude=0)[0, :, 1], np.maximum(v - 20, 0))
    assert np.array_equal(OPS['brightness_channel'](photo), OPS['brightness'](photo))
    round_trip = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2HSV), cv2.COLOR_HSV2RGB)
    assert np.array_equal(OPS['hsv'](photo), round_trip)
    assert np.array_equal(OPS['invert_channel'](photo), photo[..., [2, 1, 0]])
    expected = cv2.GaussianBlur(photo, (5, 5), 1.7564103, borderType=cv2.BORDER_REFLECT_101)
    assert np.array_equal(OPS['blur'](photo), expected)


def statistics(name, image=GRAY, draws=40):
    np.random.seed(0)
    return np.stack([OPS[name](image) for _ in range(draws)]).astype(float)


@pytest.mark.parametrize('name, deviation', [('noise_gau', 14.188), ('noise_pos', 13.06)])
def test_noise_is_one_for_all_channels(name, deviation):
    found = statistics(name) - 128
    assert np.array_equal(found[..., 0], found[..., 1]) and np.array_equal(found[..., 0], found[..., 2])
    assert abs(found.mean()) < 0.05 and found.std() == pytest.approx(deviation, rel=0.01)


def test_dropout_has_one_rate_per_image_and_each_channel_its_own_pixels():
    found = statistics('dropout', draws=200) == 0
    rates = found.mean(axis=(1, 2, 3))
    assert 0.19 < rates.min() < 0.22 and 0.48 < rates.max() < 0.51
    assert (found[..., 0] != found[..., 1]).any()


def test_coarse_dropout_erases_cells_of_a_grid_of_3_to_5():
    found = statistics('coarse_dropout', draws=400) == 0
    assert found.mean() == pytest.approx(0.2, abs=0.02)
    sides = set()
    for image in found:
        edges = (image[:, 1:] != image[:, :-1]).any(axis=(0, 2)).sum()
        sides.add(int(edges) + 1)
    assert max(sides) == 5
    assert (found[..., 0] != found[..., 1]).any()


def test_factors_thresholds_and_rates_are_those_of_the_table():
    multiplied = statistics('multiply', image=np.full((2, 2, 3), 100, np.uint8), draws=500)[:, 0, 0]
    assert (
        25 <= multiplied.min() < 27
        and 247 < multiplied.max() <= 250
        and multiplied.mean() == pytest.approx(137, rel=0.04)
    )
    levels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    thresholds = [int((image[0, :, 0] == np.arange(256)).sum()) for image in statistics('solarize', levels, 300)]
    assert 64 <= min(thresholds) < 68 and 188 < max(thresholds) <= 193
    salted = (statistics('salt_pepper', draws=200) != 128).mean(axis=(1, 2, 3))
    assert salted.min() < 0.01 and 0.095 < salted.max() < 0.105
    orders = {tuple(image[0, 0].astype(int)) for image in statistics('channle_shuffle', np.uint8([[[1, 2, 3]]]), 100)}
    assert len(orders) == 6


def test_jpeg_has_a_quality_from_7_to_17(photo):
    by_quality = {}
    for quality in range(1, 60):
        _, code = cv2.imencode('.jpg', photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        by_quality[quality] = cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1]
    np.random.seed(0)
    found = set()
    for _ in range(120):
        image = OPS['jpeg_compression'](photo)
        found |= {quality for quality, known in by_quality.items() if np.array_equal(known, image)}
    assert min(found) == 7 and max(found) == 17


@pytest.mark.parametrize('magnitude', [-1, 40, 2.5])
def test_a_magnitude_out_of_range_is_refused(magnitude, photo):
    with pytest.raises(ValueError, match='whole number from 0 to 39'):
        OPS['blur'](photo, magnitude=magnitude)
