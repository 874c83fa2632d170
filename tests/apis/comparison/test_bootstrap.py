"""Paired bootstrap: by hand where there is nothing to draw, against numpy where there is."""

import numpy as np
import pytest

from ssod.apis.comparison.bootstrap import difference, resample, verdict_of


def mean_of(values):
    """The score of one class that is the mean of the images' own values."""
    return lambda counts: np.array([counts @ values / counts.sum()])


def test_the_first_row_is_every_image_once_and_columns_are_paired():
    values = np.random.default_rng(0).random(30)
    tables = resample({'a': [mean_of(values)], 'b': [mean_of(values + 0.1)]}, 30, rounds=50)
    assert tables['a'].shape == (51, 1)
    assert tables['a'][0, 0] == pytest.approx(100 * values.mean())
    assert np.ptp(tables['a'][1:]) > 5
    found = difference(tables['a'], tables['b'])  # the same images for both: no spread is left
    assert found.value == pytest.approx(10) and found.interval == pytest.approx((10, 10))
    assert found.by_class == pytest.approx([10]) and found.class_intervals[0] == pytest.approx((10, 10))


def test_the_interval_is_that_of_the_mean_of_the_differences():
    rng = np.random.default_rng(0)
    gain = rng.normal(0.02, 0.1, 100)
    tables = resample({'a': [mean_of(np.zeros(100))], 'b': [mean_of(gain)]}, 100, rounds=2000)
    low, high = difference(tables['a'], tables['b']).interval
    error = 100 * gain.std() / 10
    assert low == pytest.approx(100 * gain.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(100 * gain.mean() + 1.96 * error, abs=0.15 * error)
    again = resample({'a': [mean_of(np.zeros(100))], 'b': [mean_of(gain)]}, 100, rounds=2000)
    np.testing.assert_array_equal(again['b'], tables['b'])


def test_seeds_are_drawn_too():
    flat = [mean_of(np.zeros(5))] * 3
    gains = [mean_of(np.full(5, value)) for value in (0.0, 0.1, 0.2)]
    tables = resample({'a': flat, 'b': gains}, 5, rounds=500)
    found = difference(tables['a'], tables['b'])
    assert found.value == pytest.approx(10)
    assert {round(value, 2) for value in tables['b'][:, 0]} == {0, 3.33, 6.67, 10, 13.33, 16.67, 20}
    assert found.interval[0] < 3.34 and found.interval[1] > 16.6


def test_a_class_without_labels_counts_nowhere():
    first = np.array([[10.0, np.nan], [10, np.nan], [10, np.nan]])
    second = np.array([[12.0, np.nan], [11, np.nan], [13, np.nan]])
    found = difference(first, second)
    assert found.value == 2 and found.interval == pytest.approx((1.05, 2.95))
    assert np.isnan(found.by_class[1]) and np.isnan(found.class_intervals[1]).all()
    # A sample in which no class has a label says nothing.
    assert difference(first, np.array([[12.0, np.nan], [np.nan, np.nan], [13, np.nan]])).interval == (3, 3)


def test_verdicts():
    assert [verdict_of(bounds) for bounds in ((0.1, 2), (-2, -0.1), (-1, 1), (0, 1), (np.nan, np.nan))] == [
        'helps', 'hurts', 'no_difference', 'no_difference', 'no_difference',
    ]  # fmt: skip
