import numpy as np
import pytest

from ssod.data.splitting import draw_part, part_size


@pytest.mark.parametrize('total, size', [(0, 0), (1, 0), (2, 1), (10, 4), (45, 18), (60, 20), (100, 20), (1000, 200)])
def test_size_of_the_part(total, size):
    assert part_size(total) == size


def test_groups_stay_together():
    groups = [i // 3 for i in range(60)]  # 20 videos of 3 frames
    part = draw_part(groups, [['a']] * 60, 12, seed=3)
    assert len(part) == 12
    assert sorted({groups[i] for i in part} & {groups[i] for i in range(60) if i not in part}) == []
    assert part == draw_part(groups, [['a']] * 60, 12, seed=3)
    assert part != draw_part(groups, [['a']] * 60, 12, seed=4)


def test_by_hand():
    """Rare `b` is in groups 1 and 4 alone: one of them comes first, and the other can then never be taken."""
    groups, labels = [0, 1, 2, 3, 4, 5], [['a'], ['a', 'b'], ['a'], ['a'], ['b'], ['a', 'c']]
    for seed in range(20):
        part = draw_part(groups, labels, 2, seed)
        assert len(part) == 2
        assert len({1, 4} & set(part)) == 1
        assert 5 not in part  # the only `c`


def test_a_class_has_its_share():
    labels = [['rare', 'often'] if i % 10 == 0 else ['often'] for i in range(200)]
    for seed in range(5):
        part = draw_part(range(200), labels, 40, seed)
        assert len(part) == 40
        assert sum('rare' in labels[i] for i in part) >= 4


def test_a_group_too_large_is_not_taken():
    groups = [0] * 30 + list(range(1, 11))
    part = draw_part(groups, [['a']] * 40, 8)
    assert len(part) == 8 and min(part) >= 30


@pytest.mark.parametrize('groups, labels', [([], []), ([0, 0, 0], [['a'], [], ['a']])])
def test_nothing_to_take(groups, labels):
    assert draw_part(np.array(groups, int).tolist(), labels, 1) == []
