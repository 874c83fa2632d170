"""The sampler's promises: what comes when is a function of (seed, rank, position)."""

import time
from itertools import islice

import numpy as np
import pytest

from ssod.data import MultiSourceSampler
from ssod.data.sampler import BLOCK, give_every_source_one

ONE_GROUP = [np.zeros(30, int), np.zeros(70, int)]
TWO_GROUPS = [np.array([0, 1, 1] * 10), np.array([0, 0, 1] * 20)]


def batches(count, flags=ONE_GROUP, batch_size=5, ratio=(1, 4), **kwargs):
    return list(islice(MultiSourceSampler(flags, batch_size, ratio, **kwargs), count))


def indices(batch):
    return [key.index for key in batch]


def all_ranks(count, world_size, **kwargs):
    """Batches of every rank, step by step."""
    ranks = [batches(count, rank=rank, world_size=world_size, **kwargs) for rank in range(world_size)]
    return [batch for step in zip(*ranks, strict=True) for batch in step]


@pytest.mark.parametrize('start', [1, BLOCK - 1, BLOCK, BLOCK + 3, 2 * BLOCK + 1])
@pytest.mark.parametrize('by_prob', [True, False])
def test_starting_at_a_position_gives_what_skipping_to_it_gives(start, by_prob):
    kwargs = dict(flags=TWO_GROUPS, by_prob=by_prob, seed=3, rank=1, world_size=2)
    assert batches(4, start=start, **kwargs) == batches(start + 4, **kwargs)[start:]


def test_the_same_seed_gives_the_same_batches_and_another_seed_others():
    assert batches(20, seed=1) == batches(20, seed=1)
    assert batches(20, seed=1) != batches(20, seed=2)
    sampler = MultiSourceSampler(ONE_GROUP, 5, (1, 4))
    assert list(islice(sampler, 20)) == list(islice(sampler, 20))


def test_every_sample_has_a_seed_of_its_own():
    ranks = [batches(200, rank=rank, world_size=2) for rank in (0, 1)]
    seeds = [key.seed for rank in ranks for batch in rank for key in batch]
    assert len(set(seeds)) > 0.999 * len(seeds)
    again = batches(200, seed=1)
    assert not {key.seed for batch in again for key in batch} & set(seeds[:1000])


@pytest.mark.parametrize('world_size', [1, 3])
@pytest.mark.parametrize('flags', [ONE_GROUP, TWO_GROUPS])
def test_every_image_comes_once_before_any_comes_again_over_all_ranks(world_size, flags):
    flag, sizes = np.concatenate(flags), [len(f) for f in flags]
    source = np.repeat([0, 1], sizes)
    drawn = [i for batch in all_ranks(400, world_size, flags=flags) for i in indices(batch)]
    for wanted in {(s, g) for s, g in zip(source, flag, strict=True)}:
        members = {i for i in range(len(flag)) if (source[i], flag[i]) == wanted}
        stream = [i for i in drawn if i in members]
        rounds = [stream[k : k + len(members)] for k in range(0, len(stream) - len(members) + 1, len(members))]
        assert len(rounds) >= 3
        assert all(set(one) == members for one in rounds)
        assert rounds[0] != rounds[1], 'each round in an order of its own'


def test_ranks_never_share_an_image_within_a_round():
    ranks = [batches(3, flags=[np.zeros(100, int)], ratio=(1,), rank=rank, world_size=4) for rank in range(4)]
    seen = [{i for batch in rank for i in indices(batch)} for rank in ranks]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 60


def test_an_exact_ratio_holds_in_every_batch():
    for batch in all_ranks(600, 2, by_prob=False):
        labeled = sum(i < 30 for i in indices(batch))
        assert (labeled, len(batch)) == (1, 5)


def test_an_exact_ratio_holds_over_batches_that_it_does_not_divide():
    drawn = [i for batch in batches(1000, batch_size=3, by_prob=False, at_least_one=False) for i in indices(batch)]
    assert sum(i < 30 for i in drawn) == 600  # of 3000, across the border of two blocks


def test_by_probability_with_five_images_at_one_to_four_the_labeled_share_is_26_5_percent():
    counts = np.array([sum(i < 30 for i in indices(batch)) for batch in all_ranks(4000, 4)])
    assert counts.min() == 1 and counts.max() == 4
    share = (1 + 0.8**5 - 0.2**5) / 5
    assert share == pytest.approx(0.265, abs=5e-4)
    assert counts.mean() / 5 == pytest.approx(share, abs=0.003)


def test_without_the_floor_the_labeled_share_is_the_ratio():
    counts = [sum(i < 30 for i in indices(batch)) for batch in all_ranks(4000, 4, at_least_one=False)]
    assert min(counts) == 0 and max(counts) == 5
    assert np.mean(counts) / 5 == pytest.approx(0.2, abs=0.003)


def test_batches_of_one_image_need_no_source_each():
    drawn = [indices(batch) for batch in batches(3000, batch_size=1, at_least_one=False)]
    assert all(len(batch) == 1 for batch in drawn)
    assert np.mean([batch[0] < 30 for batch in drawn]) == pytest.approx(0.2, abs=0.03)


def test_a_batch_keeps_to_one_aspect_ratio_group():
    flag = np.concatenate(TWO_GROUPS)
    groups = [set(flag[indices(batch)]) for batch in batches(300, flags=TWO_GROUPS)]
    assert all(len(group) == 1 for group in groups)
    assert np.mean([0 in group for group in groups]) == pytest.approx(50 / 90, abs=0.1)


def test_a_source_without_the_batchs_group_gives_its_largest():
    flags = [np.array([0, 0, 0, 2]), np.ones(10, int)]
    drawn = [indices(batch) for batch in batches(200, flags=flags, by_prob=False)]
    assert all(sum(i < 4 for i in batch) == 1 for batch in drawn)
    beside_group_1 = [min(batch) for batch in drawn]
    assert set(beside_group_1) == {0, 1, 2, 3}


def test_a_source_smaller_than_its_share_wraps_around():
    flags = [np.zeros(2, int), np.zeros(50, int)]
    for batch in batches(50, flags=flags, batch_size=10, ratio=(4, 1), by_prob=False):
        assert sorted(i for i in indices(batch) if i < 2) == [0] * 4 + [1] * 4


def test_one_source_is_an_ordinary_epoch():
    drawn = [i for batch in batches(10, flags=[np.zeros(20, int)], batch_size=4, ratio=(1,)) for i in indices(batch)]
    assert sorted(drawn[:20]) == sorted(drawn[20:]) == list(range(20))


def test_three_sources_are_all_in_every_batch():
    counts = np.array([[3, 0, 0], [0, 0, 3], [1, 1, 1], [0, 2, 1]])
    give_every_source_one(counts)
    assert counts.tolist() == [[1, 1, 1]] * 4
    flags = [np.zeros(5, int)] * 3
    for batch in batches(200, flags=flags, batch_size=4, ratio=(1, 1, 8)):
        assert {i // 5 for i in indices(batch)} == {0, 1, 2}


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(flags=[np.zeros(0, int), np.zeros(3, int)]), 'source 0 has no image'),
        (dict(ratio=(1, 2, 3)), 'ratio needs 2 positive numbers'),
        (dict(ratio=(0, 4)), 'ratio needs 2 positive numbers'),
        (dict(ratio=(0.5, 2), by_prob=False), 'needs whole numbers'),
        (dict(batch_size=1), 'data.samples_per_gpu to 2 or more, or data.sampler.at_least_one=False'),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(kwargs, message):
    with pytest.raises(ValueError, match=message):
        batches(1, **kwargs)


def test_coco_starts_at_once():
    flags = [np.random.default_rng(0).integers(0, 2, size) for size in (118_000, 123_000)]
    times = []
    for _ in range(5):  # the quickest, of the process's own time: others may hold the cores
        start = time.process_time()
        MultiSourceSampler(flags, 5, (1, 4), rank=63, world_size=64)
        times.append(time.process_time() - start)
    assert min(times) < 0.05
