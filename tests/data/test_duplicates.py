import numpy as np
import pytest

from ssod.data.duplicates import groups_to_split, near_groups, near_pairs


def bits(*ones):
    """A hash with these bits set."""
    found = np.zeros(64, bool)
    found[list(ones)] = True
    return found


def test_pairs_by_hand():
    first = np.stack([bits(), bits(0, 1, 2, 3, 4)])
    second = np.stack([bits(0), bits(0, 1, 2, 3), bits(*range(9)), bits(*range(10))])
    assert near_pairs(first, second, 4).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]]
    assert near_pairs(first, second, 0).tolist() == []


@pytest.mark.parametrize('n, m', [(0, 3), (3, 0), (0, 0)])
def test_no_pairs_of_nothing(n, m):
    assert near_pairs(np.zeros((n, 64), bool), np.zeros((m, 64), bool)).shape == (0, 2)


def test_pairs_of_many_rows_are_those_of_all():
    rng = np.random.default_rng(0)
    hashes = np.repeat(rng.random((50, 64)) < 0.5, 50, axis=0)  # 2500 rows, more than one block
    wrong = (hashes[:, None] != hashes[::100]).sum(2)
    assert np.array_equal(near_pairs(hashes, hashes[::100]), np.argwhere(wrong <= 4))


def test_a_chain_is_a_group():
    """0 - 2 - 4 hang together by 4 bits each, though 0 and 4 differ in 8; equal hashes too."""
    chain = [
        bits(),
        bits(*range(20, 40)),
        bits(0, 1, 2, 3),
        bits(*range(20, 40)),
        bits(*range(8)),
        bits(*range(40, 64)),
    ]
    assert near_groups(np.stack(chain)).tolist() == [0, 1, 0, 1, 0, 5]
    assert near_groups(np.stack(chain), 3).tolist() == [0, 1, 2, 1, 4, 5]
    assert near_groups(np.zeros((0, 64), bool)).tolist() == []


def test_images_that_all_look_alike_can_be_split_nevertheless():
    digests = [b'a', b'b', b'a', b'c']
    plain = np.zeros((4, 64), bool)
    groups, distance = groups_to_split(plain, digests)
    assert (groups.tolist(), distance) == ([0, 1, 0, 3], None)  # equal files stay together
    alike = np.stack([bits(), bits(0, 1, 2), bits(3, 4, 5, 6), bits(7, 8, 9)])
    groups, distance = groups_to_split(alike, digests)
    assert (groups.tolist(), distance) == ([0, 1, 2, 3], 2)
    apart = np.stack([bits(), bits(0, 1), bits(*range(20)), bits(*range(20, 40))])
    groups, distance = groups_to_split(apart, digests)
    assert (groups.tolist(), distance) == ([0, 0, 2, 3], 4)
