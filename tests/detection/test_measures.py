"""Boxes' side of a comparison: figures of a data set and a model's results, by hand."""

import json

import numpy as np
import pytest
from mmcv import Config
from mmdet.datasets import CocoDataset
from pycocotools import mask

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


B_MASKS = (0, 0, 10, 10), (20, 0, 25, 10)


def run_lengths(*rows):
    """A full-image mask for each (x1, y1, x2, y2) on 64 x 48 pixels, as results have them."""
    masks = []
    for x1, y1, x2, y2 in rows:
        pixels = np.zeros((48, 64), np.uint8, order='F')
        pixels[y1:y2, x1:x2] = 1
        masks.append(mask.encode(pixels))
    return masks


def test_masks_are_judged_by_their_own_overlap(dataset):
    """The boxes are all right; of class b the second mask is half of its object, IoU 0.5: right at 0.5 alone."""
    for i, annotation in dataset.coco.anns.items():
        x, y, w, h = annotation['bbox']
        annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        if i == 3:  # a crowd has run lengths, here not compressed
            pixels = mask.decode(run_lengths((x, y, x + w, y + h))[0])
            edges = np.flatnonzero(np.diff(np.concatenate([[0], pixels.ravel('F'), [0]])))
            annotation['segmentation'] = dict(
                size=[48, 64], counts=np.diff(np.concatenate([[0], edges, [48 * 64]])).tolist()
            )
    found = [
        ([boxes([0, 0, 10, 10, 0.9], [20, 0, 30, 10, 0.8]), boxes()], [run_lengths(*B_MASKS), []]),
        ([boxes(), boxes([0, 0, 10, 10, 0.6])], [[], run_lengths((0, 0, 10, 10))]),
        ([boxes(), boxes()], [[], []]),
    ]
    task = TASKS['detection']
    masks = task.measures_of(Config(dict(evaluation=dict(metric=['segm', 'bbox']))))
    assert masks.metric == 'segm_mAP'
    score = masks.class_scores(dataset, found)
    half = 0.1 * 1 + 0.9 * 51 / 101  # at one threshold of ten both are found
    np.testing.assert_allclose(score(np.ones(3, int)), [half, 1])
    values = task.evaluate(dataset, found, metric=['segm', 'bbox'])
    assert list(values)[0] == 'segm_mAP' and values['segm_mAP'] == pytest.approx((half + 1) / 2, abs=1e-3)
    assert values['bbox_mAP'] == 1
    np.testing.assert_allclose(MEASURES.class_scores(dataset, found)(np.ones(3, int)), [1, 1])
    assert masks.label_quality(dataset, found, [0.5]) == MEASURES.label_quality(dataset, found, [0.5])
    nothing = [([boxes()] * 2, [[], []])] * 3
    np.testing.assert_allclose(masks.class_scores(dataset, nothing)(np.ones(3, int)), [0, 0])


def test_which_measures():
    task = TASKS['detection']
    for metric in ('bbox', ['bbox', 'segm'], []):
        assert task.measures_of(Config(dict(evaluation=dict(metric=metric)))) is task.measures
    assert task.measures_of(Config(dict(evaluation=dict(interval=3)))) is task.measures
    assert task.measures_of(Config(dict(evaluation=dict(metric='segm')))) is task.mask_measures


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
