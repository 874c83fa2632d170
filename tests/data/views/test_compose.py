"""Random order, and mmdet's AutoAugment as the choice of one op."""

from collections import Counter

import numpy as np
import pytest
from mmdet.datasets.builder import PIPELINES

from ssod.data.views import RandomOrder, RandomTranslate


class Note:
    """Writes its name down."""

    def __init__(self, name):
        self.name = name

    def __call__(self, results):
        return dict(results, notes=results.get('notes', '') + self.name)


def test_every_order_equally_often():
    np.random.seed(0)
    op = RandomOrder([Note('a'), Note('b'), Note('c')])
    counts = Counter(op({})['notes'] for _ in range(3000))
    assert set(counts) == {'abc', 'acb', 'bac', 'bca', 'cab', 'cba'}
    assert min(counts.values()) > 430


def test_apply_follows_the_order_drawn():
    op = RandomOrder([Note('a'), Note('b'), Note('c')])
    assert op.apply({}, order=np.array([2, 0, 1]))['notes'] == 'cab'


def test_none_is_passed_on():
    reached = []
    op = RandomOrder([lambda results: None, reached.append])
    assert op.apply({}, order=np.array([0, 1])) is None
    assert not reached


def test_configs_are_built_and_seeds_hold():
    cfg = dict(type='RandomOrder', transforms=[dict(type='RandomTranslate', x=(-0.5, 0.5)), dict(type='RandomErasing')])
    op = PIPELINES.build(cfg)
    assert isinstance(op.transforms[0], RandomTranslate)
    outs = []
    for _ in range(2):
        np.random.seed(3)
        outs.append(op(dict(img=np.zeros((40, 50, 3), np.uint8)))['img'])
    np.testing.assert_array_equal(*outs)


def test_the_hosts_choice_of_one_is_uniform_over_our_ops():
    """Three policies, told apart by what they leave: one op, another, or two in sequence."""
    policies = [
        [dict(type='RandomTranslate', x=(0.1, 0.1))],
        [dict(type='Solarize', levels=(1, 1))],
        [dict(type='RandomShear', x=(30, 30)), dict(type='RandomShear', y=(30, 30))],
    ]
    op = PIPELINES.build(dict(type='AutoAugment', policies=policies))
    np.random.seed(0)
    counts = Counter()
    for _ in range(900):
        out = op(dict(img=np.full((10, 10, 3), 200, np.uint8)))
        matrix = out.get('transform_matrix', np.eye(3))
        counts[round(float(matrix[0, 2]), 3), round(float(matrix[1, 0]), 3), int(out['img'][0, 0, 0])] += 1
    tanh = round(float(np.tanh(np.deg2rad(30))), 3)
    assert {key[:2] for key in counts} == {(1.0, 0.0), (0.0, 0.0), (0.0, tanh)}
    assert counts[0.0, 0.0, 55] == sum(n for key, n in counts.items() if key[:2] == (0.0, 0.0))
    assert 240 < min(counts.values()) and max(counts.values()) < 360


@pytest.mark.parametrize('seed', range(3))
def test_order_of_choices(seed):
    colors = [[dict(type='Solarize')], [dict(type='Posterize')]]
    shapes = [[dict(type='RandomRotate')], [dict(type='RandomTranslate', y=(-0.1, 0.1))]]
    choices = [dict(type='AutoAugment', policies=policies) for policies in (colors, shapes)]
    np.random.seed(seed)
    out = RandomOrder(choices)(dict(img=np.zeros((30, 40, 3), np.uint8)))
    assert out['img'].shape == (30, 40, 3)
    assert not np.allclose(out['transform_matrix'], np.eye(3))
