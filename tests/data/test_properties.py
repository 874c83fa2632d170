"""What holds for any sizes, ratios and numbers of processes: the sampler, splits, packed lists."""

import math
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import few

from ssod.data import MultiSourceSampler, PackedList
from ssod.data.splitting import draw_part, part_size


@st.composite
def plans(draw):
    """Arguments of a sampler, and how many processes there are."""
    sizes = draw(st.lists(st.integers(1, 25), min_size=1, max_size=3))
    flags = [np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))) for n in sizes]
    at_least_one = draw(st.booleans())
    settings = dict(
        flags=flags,
        batch_size=draw(st.integers(len(sizes) if at_least_one else 1, 8)),
        ratio=draw(st.lists(st.integers(1, 5), min_size=len(sizes), max_size=len(sizes))),
        by_prob=draw(st.booleans()),
        at_least_one=at_least_one,
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    return settings, draw(st.integers(1, 4))


def batches(settings, world_size, count, start=0):
    """(count, world_size) batches of keys."""
    ranks = [
        list(islice(MultiSourceSampler(**settings, rank=rank, world_size=world_size, start=start), count))
        for rank in range(world_size)
    ]
    return list(zip(*ranks, strict=True))


@few
@given(plans(), st.integers(0, 30))
def test_any_sampler(plan, start):
    settings, world_size = plan
    flags, ratio = settings['flags'], settings['ratio']
    group = np.concatenate(flags)
    source = np.repeat(np.arange(len(flags)), [len(flag) for flag in flags])
    count = 12 * sum(ratio)
    steps = batches(settings, world_size, count)
    drawn = [[key.index for key in batch] for step in steps for batch in step]
    assert {len(batch) for batch in drawn} == {settings['batch_size']}
    assert batches(settings, world_size, 3, start=start) == batches(settings, world_size, start + 3)[start:]
    for batch in drawn:
        if settings['at_least_one']:
            assert set(source[batch]) == set(range(len(flags)))
        for own in range(len(flags)):  # one aspect ratio of each source
            assert len(set(group[[i for i in batch if source[i] == own]])) <= 1
    # Over all processes each image of a source's group comes once before any comes again.
    stream = np.concatenate(drawn)
    for own in {(s, g) for s, g in zip(source, group, strict=True)}:
        members = np.flatnonzero((source == own[0]) & (group == own[1]))
        passing = stream[np.isin(stream, members)]
        for place in range(0, len(passing), len(members)):
            chunk = passing[place : place + len(members)]
            assert len(set(chunk)) == len(chunk), 'an image comes again before all have come'
    if not settings['by_prob'] and not settings['at_least_one']:
        wanted = np.array(ratio) * (len(stream) // sum(ratio))
        assert np.bincount(source[stream], minlength=len(flags)).tolist() == wanted.tolist()


@few
@given(
    st.lists(st.tuples(st.integers(0, 8), st.sets(st.sampled_from('abcd'), max_size=3)), max_size=40),
    st.integers(0, 20),
    st.integers(0, 9),
)
def test_any_split(images, size, seed):
    groups, labels = [group for group, _ in images], [sorted(found) for _, found in images]
    part = draw_part(groups, labels, size, seed)
    rest = [i for i in range(len(images)) if i not in set(part)]
    assert part == sorted(set(part)) == draw_part(groups, labels, size, seed)
    assert len(part) <= max(math.ceil(1.25 * size), 1) and (size > 0 or not part)
    assert not {groups[i] for i in part} & {groups[i] for i in rest}
    assert {name for i in part for name in labels[i]} <= {name for i in rest for name in labels[i]}
    assert 0 <= part_size(len(images)) <= max(len(images) - 1, 0)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@few
@given(st.lists(VALUES, max_size=5), st.integers(-7, 7), st.slices(5))
def test_a_packed_list_is_the_list(items, index, piece):
    packed = PackedList(iter(items))
    assert len(packed) == len(items) and list(packed) == items and packed[piece] == items[piece]
    if -len(items) <= index < len(items):
        assert (
            packed[index] == items[index] and packed[index] is not packed[index] or not isinstance(items[index], list)
        )
    else:
        with pytest.raises(IndexError):
            packed[index]
