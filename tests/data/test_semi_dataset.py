"""Labeled and unlabeled images as one indexed set."""

import numpy as np
from mmdet.datasets import build_dataset


def test_labeled_images_come_first_and_each_source_has_its_own_pipeline(coco):
    labeled, unlabeled = coco('labeled', [(40, 34)] * 2), coco('unlabeled', [(36, 60)] * 3, boxes=False)
    unlabeled['pipeline'] = [dict(type='LoadImageFromFile')]
    dataset = build_dataset(dict(type='SemiDataset', labeled=labeled, unlabeled=unlabeled))
    assert len(dataset) == 5 and [len(source) for source in dataset.sources.values()] == [2, 3]
    assert list(dataset.sources) == ['labeled', 'unlabeled']
    assert [int(dataset[i]['img'][0, 0, 0]) for i in range(5)] == [1, 2, 1, 2, 3]
    assert dataset[1]['img'].shape == (34, 40, 3) and dataset[2]['img'].shape == (60, 36, 3)
    np.testing.assert_array_equal(dataset[0]['gt_bboxes'], [[2, 3, 12, 15]])
    assert 'gt_bboxes' not in dataset[2]


def test_class_names_are_those_of_the_labeled_set(coco):
    labeled, unlabeled = coco('labeled', [(40, 34)]), coco('unlabeled', [(40, 34)], boxes=False)
    labeled['classes'] = ('dust', 'cell')
    dataset = build_dataset(dict(type='SemiDataset', labeled=labeled, unlabeled=unlabeled))
    assert dataset.CLASSES == ('dust', 'cell')
