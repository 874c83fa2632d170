"""Boxes' side of a comparison: figures of a data set and a model's results, by hand."""

import json

import numpy as np
import pytest
from mmcv import Config
from mmdet.datasets import CocoDataset

from ssod.apis import InputError
from ssod.core.task import TASKS

MEASURES = TASKS['detection'].measures


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 5)


@pytest.fixture
def dataset(tmp_path):
    """Three images of classes b, a (numbered 7, 2): two b and a crowd of a in the first, an a in the second."""
    images = [dict(id=i, file_name=f'{i}.jpg', width=64, height=48) for i in (30, 10, 20)]
    categories = [dict(id=7, name='b'), dict(id=5, name='other'), dict(id=2, name='a')]
    rows = [(30, 7, 0, 0), (30, 7, 20, 0), (30, 2, 40, 20), (10, 2, 0, 0), (10, 5, 20, 20)]
    annotations = [
        dict(id=i, image_id=image, category_id=c, bbox=[x, y, 10, 10], area=100, iscrowd=int(i == 3))
        for i, (image, c, x, y) in enumerate(rows, 1)
    ]
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(dict(images=images, categories=categories, annotations=annotations)))
    return CocoDataset(str(path), [], classes=('b', 'a'), test_mode=True)


RESULTS = [
    [boxes([0, 0, 10, 10, 0.9], [22, 22, 30, 30, 0.8]), boxes([40, 20, 50, 30, 0.95])],  # right, wrong, on the crowd
    [boxes(), boxes([0, 0, 10, 10, 0.6])],
    [boxes(), boxes()],
]


def test_quality_by_hand(dataset):
    low, high, none = MEASURES.label_quality(dataset, RESULTS, [0.5, 0.7, 0.99])
    assert (low.threshold, low.per_image, low.precision, low.recall) == (
        0.5,
        1,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
    )
    assert low.by_class == {'b': dict(precision=0.5, recall=0.5), 'a': dict(precision=1, recall=1)}
    assert (high.per_image, high.precision, high.recall) == (pytest.approx(2 / 3), 0.5, pytest.approx(1 / 3))
    assert high.by_class['a'] == dict(precision=None, recall=0)
    assert (none.per_image, none.precision, none.recall) == (0, None, 0)
    assert MEASURES.labels_per_image(dataset) == 1
    with_masks = [(found, 'masks') for found in RESULTS]
    assert MEASURES.label_quality(dataset, with_masks, [0.5, 0.7, 0.99]) == [low, high, none]
    nothing = [[boxes(), boxes()]] * 3
    assert MEASURES.label_quality(dataset, nothing, [0.5])[0].precision is None


def test_scores_are_those_of_the_data_sets_own_evaluation(dataset):
    counts = np.ones(3, int)
    score = MEASURES.class_scores(dataset, RESULTS)
    values = TASKS['detection'].evaluate(dataset, RESULTS, metric='bbox')
    assert score(counts).mean() == pytest.approx(values['bbox_mAP'], abs=1e-3)  # rounded there
    np.testing.assert_allclose(score(counts), [51 / 101, 1])  # b: recall 0.5 at precision 1
    np.testing.assert_allclose(score(np.array([0, 1, 1])), [np.nan, 1])


def test_thresholds_in_use():
    def threshold(**settings):
        return MEASURES.threshold(Config(dict(model=dict(semi_train_cfg=settings), pseudo_score_thr=0.8)))

    assert threshold(cls_filter=dict(type='ScoreFilter', thr=0.6)) == 0.6
    assert threshold(cls_filter=dict(type='ScoreFilter')) == 0.9
    assert threshold(cls_filter=dict(type='JitterVarianceFilter')) == threshold() == 0.8
    assert threshold(pseudo_filter=dict(type='ScoreFilter', thr=0.4)) == 0.4


def test_labels_of_a_file_above_a_score(tmp_path):
    path = tmp_path / 'pseudo.json'
    path.write_text(json.dumps(dict(annotations=[dict(score=score) for score in (0.5, 0.7, 0.9)])))
    assert [MEASURES.count_labels(path, thr) for thr in (0.4, 0.7, 0.9)] == [3, 1, 0]


def test_another_kind_of_data_set_is_refused():
    with pytest.raises(InputError, match='CocoDataset, not from a list'):
        MEASURES.labels_per_image([])
