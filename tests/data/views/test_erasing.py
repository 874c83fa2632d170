"""Random erasing: what is drawn, and what is written where."""

import numpy as np
import pytest

from ssod.data.views import RandomErasing

H, W = 100, 200


def sample():
    return dict(img=np.full((H, W, 3), 7, np.uint8), bbox_fields=['gt_bboxes'], gt_bboxes=np.float32([[1, 2, 30, 40]]))


def test_apply_fills_just_the_patches():
    results = sample()
    original = results['img']
    original.flags.writeable = False
    out = RandomErasing().apply(results, patches=[(10, 20, 40, 30), (35, 25, 60, 26), (5, 5, 5, 9)])
    expected = np.full((H, W, 3), 7, np.uint8)
    for y in range(H):
        for x in range(W):
            if (10 <= x < 40 and 20 <= y < 30) or (35 <= x < 60 and y == 25):
                expected[y, x] = 125
    np.testing.assert_array_equal(out['img'], expected)
    assert out['img'].dtype == np.uint8 and (original == 7).all()
    np.testing.assert_array_equal(out['gt_bboxes'], [[1, 2, 30, 40]])


@pytest.mark.parametrize('squared', [True, False])
def test_draws(squared):
    np.random.seed(0)
    op = RandomErasing(squared=squared)
    draws = [op.draw(sample())['patches'] for _ in range(2000)]
    counts = np.bincount([len(patches) for patches in draws], minlength=6)
    assert counts[0] == counts[5] == 0 and counts[1:5].min() > 430
    x1, y1, x2, y2 = np.array([patch for patches in draws for patch in patches]).T
    w, h = x2 - x1, y2 - y1
    assert x1.min() >= 0 and y1.min() >= 0 and x2.max() <= W and y2.max() <= H
    assert w.min() == 0 and h.min() == 0 and w.max() == 39 and h.max() == 19  # int() of below 0.2 of the side
    assert abs(h.mean() - 9.5) < 0.3 and abs(w.mean() - 19.5) < 0.6
    same_ratio = (w // 2 == h).mean()
    assert same_ratio == 1 if squared else same_ratio < 0.2


def test_sides_and_places_are_uniform():
    """Kolmogorov-Smirnov: above 1.95 / sqrt(n) once in a thousand; a side in whole pixels adds half a step."""
    np.random.seed(1)
    img = dict(img=np.zeros((1000, 2000, 3), np.uint8))
    draws = [RandomErasing().draw(img)['patches'] for _ in range(1000)]
    x1, y1, x2, y2 = np.array([patch for patches in draws for patch in patches]).T
    even = np.linspace(0, 1, len(x1))
    bound = 1.95 / np.sqrt(len(x1))
    assert np.abs(np.sort((y2 - y1) / 200) - even).max() < bound + 1 / 200
    assert np.abs(np.sort(x1 / (2000 - (x2 - x1))) - even).max() < bound
    assert np.abs(np.sort(y1 / (1000 - (y2 - y1))) - even).max() < bound


def test_the_papers_option():
    """1 to 5 patches, each of 5 to 20 % of the sides."""
    np.random.seed(0)
    op = RandomErasing(n_patches=(1, 5), ratio=(0.05, 0.2))
    draws = [op.draw(sample())['patches'] for _ in range(2000)]
    counts = np.bincount([len(patches) for patches in draws], minlength=7)
    assert counts[0] == counts[6] == 0 and counts[1:6].min() > 330 and counts[1:6].max() < 470
    x1, y1, x2, y2 = np.array([patch for patches in draws for patch in patches]).T
    assert (y2 - y1).min() == 5 and (y2 - y1).max() == 19 and (x2 - x1).min() == 10 and (x2 - x1).max() == 39


@pytest.mark.parametrize('seed', range(5))
def test_a_call_writes_125_into_what_the_same_seed_draws_and_nothing_else(seed):
    np.random.seed(seed)
    patches = RandomErasing().draw(sample())['patches']
    np.random.seed(seed)
    img = np.random.RandomState(9).randint(0, 256, (H, W, 3), dtype=np.uint8)
    out = RandomErasing()(dict(sample(), img=img))['img']
    erased = np.zeros((H, W), bool)
    for x1, y1, x2, y2 in patches:
        erased[np.ix_(range(y1, y2), range(x1, x2))] = True
    assert 1 <= len(patches) <= 4
    np.testing.assert_array_equal(out, np.where(erased[..., None], 125, img))


def test_options():
    np.random.seed(0)
    out = RandomErasing(n_patches=(1, 1), ratio=(1, 1), fill=3)(sample())  # as large as the image: one place
    assert (out['img'] == 3).all()
    assert RandomErasing(n_patches=(0, 0)).draw(sample()) == dict(patches=[])


def test_same_seed_same_result():
    outs = []
    for _ in range(2):
        np.random.seed(4)
        outs.append(RandomErasing(ratio=(0.1, 0.2))(sample())['img'])
    np.testing.assert_array_equal(*outs)
    assert (outs[0] == 125).any()
