"""The first source's share on its way to zero: hand-worked, against a naive sum, and the same after a resume."""

from fractions import Fraction
from itertools import islice
from math import ceil

import numpy as np
import pytest

from ssod.data import MultiSourceSampler
from ssod.data.sampler import BLOCK, Decay

FLAGS = [np.array([0, 1, 1] * 10), np.array([0, 0, 1] * 20)]
LABELED = 30
K, T = 400, BLOCK + 300  # the decay begins in one block and ends in the next


def batches(count, ratio=(1, 4), flags=FLAGS, batch_size=5, at_least_one=False, **kwargs):
    return list(islice(MultiSourceSampler(flags, batch_size, ratio, at_least_one=at_least_one, **kwargs), count))


def counts(count, world_size=1, flags=FLAGS, **kwargs):
    """(count, world_size, sources): images of each source in each batch."""
    borders = np.cumsum([len(flag) for flag in flags])
    ranks = []
    for rank in range(world_size):
        drawn = batches(count, flags=flags, rank=rank, world_size=world_size, **kwargs)
        sources = [np.searchsorted(borders, [key.index for key in batch], side='right') for batch in drawn]
        ranks.append([np.bincount(source, minlength=len(flags)) for source in sources])
    return np.array(ranks).swapaxes(0, 1)


def left(step, iters=K, max_iters=T):
    """What the decay leaves of the share, as the docstring says it in words."""
    return Fraction(min(max(max_iters - step, 0), iters), iters)


def test_parts_and_their_sum_against_a_naive_loop():
    decay, total = Decay(iters=4, max_iters=7), 0
    assert [int(decay.parts(np.array(step))) for step in range(10)] == [4, 4, 4, 4, 3, 2, 1, 0, 0, 0]
    for step in range(10):
        assert decay.parts_before(np.array(step)) == total
        total += int(decay.parts(np.array(step)))


def test_a_small_case_by_hand():
    # One labeled image a batch for ten iterations; then 1, 0.9, 0.8 ... 0.1, summed from 10 on:
    # 11, 11.9, 12.7, 13.4, 14, 14.5, 14.9, 15.2, 15.4, 15.5, rounded up 11 12 13 14 14 15 15 16 16 16.
    found = counts(25, by_prob=False, decay=dict(iters=10, max_iters=20))[:, 0]
    assert found[:, 0].tolist() == [1] * 10 + [1, 1, 1, 1, 0, 1, 0, 1, 0, 0] + [0] * 5
    assert (found.sum(axis=1) == 5).all()


@pytest.mark.parametrize(
    'world_size, batch_size, ratio', [(1, 5, (1, 4)), (3, 4, (1, 1)), (2, 5, (1, 4)), (2, 3, (1, 6))]
)
def test_exact_counts_are_the_summed_share_rounded_up(world_size, batch_size, ratio):
    kwargs = dict(ratio=ratio, batch_size=batch_size, by_prob=False, decay=dict(iters=K, max_iters=T))
    found = counts(T + 20, world_size, **kwargs)
    total, labeled = Fraction(0), 0
    for step, ranks in enumerate(found):
        for of_rank in ranks:
            total += batch_size * Fraction(ratio[0], sum(ratio)) * left(step)
            labeled += of_rank[0]
            assert labeled == ceil(total), step


def test_a_ratio_of_several_to_several_stays_within_one_image():
    found = counts(T, 2, ratio=(2, 3), by_prob=False, decay=dict(iters=K, max_iters=T))[..., 0].reshape(-1)
    share = np.repeat([float(left(step)) * 2 for step in range(T)], 2)
    assert np.abs(np.cumsum(found) - np.cumsum(share)).max() < 1
    # The pattern 0011 runs ahead of its share of one half, by one image at its middle. The decay begins in that
    # middle, behind slot 30, and is on the rounded sum soon after: 15 + 1.5 * (1 + 0.9 + ... + 0.1) = 23.25.
    found = counts(20, ratio=(2, 2), batch_size=3, by_prob=False, decay=dict(iters=10, max_iters=20))[:, 0, 0]
    assert np.cumsum(found)[:4].tolist() == [2, 4, 5, 6] and found[:10].sum() == 16 and found.sum() == 24


def test_probabilities_fall_linearly():
    # 5000 images in each twentieth of the decay; the bound is four standard deviations.
    found = counts(1020, 2, batch_size=50, decay=dict(iters=1000, max_iters=1000))[..., 0].sum(axis=1) / 100
    for first in range(0, 1000, 50):
        share = np.mean([0.2 * float(left(step, 1000, 1000)) for step in range(first, first + 50)])
        assert found[first : first + 50].mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 5000))
    assert found[:1000].mean() == pytest.approx(0.2 * 0.5005, abs=4 * np.sqrt(0.1 * 0.9 / 100_000))
    assert (found[1000:] == 0).all()


@pytest.mark.parametrize('by_prob', [True, False])
def test_the_other_sources_keep_their_proportions(by_prob):
    flags = [np.zeros(5, int), np.zeros(7, int), np.zeros(9, int)]
    kwargs = dict(flags=flags, batch_size=40, ratio=(4, 1, 3), by_prob=by_prob)
    found = counts(600, decay=dict(iters=400, max_iters=500), **kwargs)[:, 0]
    for first, last in ((0, 100), (100, 300), (300, 500), (500, 600)):
        _, one, three = found[first:last].sum(axis=0)
        # By draw: four standard deviations of a share of a quarter; exactly: one image of each kind at either end.
        bound = 4 * np.sqrt(0.25 * 0.75 / (one + three)) if by_prob else 2 / (one + three)
        assert one / (one + three) == pytest.approx(0.25, abs=bound)


@pytest.mark.parametrize('by_prob', [True, False])
@pytest.mark.parametrize('start', [5, T - K - 1, T - K, BLOCK - 1, BLOCK, BLOCK + 88, T - 1, T, 2 * BLOCK + 3])
def test_a_resumed_run_gets_the_same_batches(start, by_prob):
    kwargs = dict(by_prob=by_prob, seed=3, rank=1, world_size=2, decay=dict(iters=K, max_iters=T))
    assert batches(4, start=start, **kwargs) == batches(start + 4, **kwargs)[start:]


@pytest.mark.parametrize('by_prob', [True, False])
@pytest.mark.parametrize('flags, ratio', [(FLAGS, (1, 4)), (FLAGS, (3, 2)), ([*FLAGS, np.zeros(9, int)], (2, 1, 4))])
def test_the_plan_before_the_decay_is_that_without_one(flags, ratio, by_prob):
    kwargs = dict(flags=flags, ratio=ratio, by_prob=by_prob, seed=7, rank=1, world_size=2)
    plain, decayed = batches(T, **kwargs), batches(T, decay=dict(iters=K, max_iters=T), **kwargs)
    assert plain[: T - K] == decayed[: T - K]
    assert plain != decayed


def test_the_plan_without_a_decay_is_what_it_was():
    """A run that was started with an earlier version resumes with the images that it would have seen."""
    drawn = [[key for batch in batches(3, by_prob=by_prob, seed=11) for key in batch] for by_prob in (True, False)]
    assert [key.index for key in drawn[0]] == [24, 15, 18, 79, 85, 16, 17, 86, 38, 35, 3, 66, 64, 34, 48]
    assert [key.index for key in drawn[1]] == [24, 79, 85, 66, 64, 15, 34, 48, 55, 45, 16, 86, 38, 35, 47]
    assert [key.seed for key in drawn[0][::5]] == [1926383459, 592467769, 621272063]


@pytest.mark.parametrize('by_prob', [True, False])
def test_every_image_comes_once_before_any_comes_again(by_prob):
    kwargs = dict(world_size=2, by_prob=by_prob, decay=dict(iters=K, max_iters=T))
    ranks = [batches(T, rank=rank, **kwargs) for rank in (0, 1)]
    drawn = [key.index for step in zip(*ranks, strict=True) for batch in step for key in batch]
    upright = set(np.flatnonzero(FLAGS[0]))
    stream = [index for index in drawn if index in upright]
    rounds = [stream[k : k + 20] for k in range(0, len(stream) - 19, 20)]
    assert len(rounds) > 20 and all(set(one) == upright for one in rounds)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(at_least_one=True), 'set data.sampler.at_least_one=False'),
        (dict(decay=dict(iters=11, max_iters=10)), 'decay.iters is a part of decay.max_iters'),
        (dict(decay=dict(iters=0, max_iters=10)), 'decay.iters is a part of decay.max_iters'),
        (dict(decay=dict(iters=-1, max_iters=10)), 'decay.iters is a part of decay.max_iters'),
        (dict(decay=dict(iters=5)), r'decay is dict\(iters=K, max_iters=T\)'),
        (dict(decay=dict(iters=5.0, max_iters=10)), 'with whole numbers'),
        (dict(flags=FLAGS[:1], ratio=(1,)), 'decay needs a second source'),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(kwargs, message):
    with pytest.raises(ValueError, match=message):
        batches(1, **{'decay': dict(iters=5, max_iters=10), **kwargs})
