"""A closer look at label maps, by hand."""

import numpy as np
import pytest
import torch
from mmcv import imwrite

from ssod.core.task import TASKS
from ssod.segmentation.data import build_dataset
from ssod.segmentation.examination import MAPS, counts_of

CLASSES = ['sky', 'road', 'car', 'sea']


@pytest.fixture
def dataset(tmp_path):
    """Two maps of 4 x 5 pixels: road, with sky, road, car and two ignored in the first row; and all car."""
    first = np.full((4, 5), 1, np.uint8)
    first[0] = (0, 1, 2, 255, 255)
    for name, labels in dict(a=first, b=np.full((4, 5), 2, np.uint8)).items():
        imwrite(labels, str(tmp_path / f'labels/{name}.png'))
        imwrite(np.full((4, 5, 3), 100, np.uint8), str(tmp_path / f'images/{name}.png'))
    common = dict(type='LabelMapDataset', data_root=str(tmp_path), img_dir='images', ann_dir='labels', classes=CLASSES)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    return build_dataset(dict(common, palette=[[9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 9, 9]], pipeline=pipeline))


ROAD = np.full((4, 5), 1)
HALF = np.array([[2] * 5, [2] * 5, [1] * 5, [0] * 5])


def test_everything_by_hand(dataset):
    found = MAPS.examine(dataset, [ROAD, HALF])
    assert found.confusion == [[0, 1, 0, 0], [0, 16, 0, 0], [5, 6, 10, 0], [0, 0, 0, 0]]
    assert found.class_counts == [1, 16, 21, 0] and found.curves == [] and found.confusion_thr is None
    assert found.class_scores == [0, round(16 / 23, 4), round(10 / 21, 4), None]
    # The first image: sky 0, road 16 of 18, car 0; the second: sky 0, road 0, car 10 of 20.
    assert found.image_scores == [round(16 / 18 / 3, 4), round(0.5 / 3, 4)]
    assert found.images == ['a.png', 'b.png'] and found.extremes() == [1, 0]
    kept = [counts_of(dataset, i, one) for i, one in enumerate((ROAD, HALF))]
    assert MAPS.examine(dataset, kept) == found
    assert MAPS.label_quality(dataset, kept, 0.5) is None


@pytest.mark.parametrize('reduce_zero_label', [False, True])
def test_the_counts_are_mmsegmentations(dataset, reduce_zero_label):
    dataset.reduce_zero_label = reduce_zero_label
    for place, labels in enumerate((ROAD, HALF)):
        own, theirs = counts_of(dataset, place, labels)[:4], dataset.pre_eval(labels.copy(), place)[0]
        assert all(torch.equal(a, b) for a, b in zip(own, theirs, strict=True))
    kept = [TASKS['segmentation'].keep(dataset, i, one) for i, one in enumerate((ROAD, HALF))]
    values = TASKS['segmentation'].evaluate(dataset, kept, logger='silent')
    direct = dataset.evaluate(
        [dataset.pre_eval(one.copy(), i)[0] for i, one in enumerate((ROAD, HALF))], logger='silent'
    )
    assert values == pytest.approx(direct, nan_ok=True)


def test_numbers_without_a_class_count_as_found_alone(dataset, tmp_path):
    imwrite(np.full((4, 5), 9, np.uint8), str(tmp_path / 'labels/b.png'))
    assert [float(one.sum()) for one in counts_of(dataset, 1, HALF)[:4]] == [
        float(one.sum()) for one in dataset.pre_eval(HALF.copy(), 1)[0]
    ]
    assert MAPS.examine(dataset, [ROAD, HALF]).image_scores[1] is None


def test_the_picture_is_image_truth_and_finding(dataset):
    picture = MAPS.draw(dataset, 1, HALF, 0.5)
    assert picture.shape == (4, 15, 3)
    assert picture[0, 0].tolist() == [100] * 3 and picture[0, 5].tolist() == [50, 45, 45]  # blue, as BGR
    assert picture[0, 10].tolist() == [50, 45, 45] and picture[2, 10].tolist() == [45, 50, 45]
