"""Test files whose categories come in another order than the model's classes."""

import json

import numpy as np
import pytest
from mmdet.datasets import build_dataset

from ssod.core.errors import InputError
from ssod.detection.task import Detection

CLASSES = ('a', 'b', 'c')
BOXES = {1: ('a', [2, 3, 30, 24]), 2: ('b', [10, 4, 20, 40]), 3: ('c', [0, 0, 16, 16])}  # by image: class, xywh


@pytest.fixture
def make(tmp_path):
    """``make(categories)``: a built test set of three images, with a box each; ids by category name."""

    def build(categories: dict[str, int]):
        images = [dict(id=i, file_name=f'{i}.png', width=64, height=64) for i in BOXES]
        annotations = [
            dict(id=i, image_id=i, category_id=categories[name], bbox=box, area=box[2] * box[3], iscrowd=0)
            for i, (name, box) in BOXES.items()
            if name in categories
        ]
        listed = [dict(id=number, name=name) for name, number in categories.items()]
        path = tmp_path / 'test.json'
        path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=listed)))
        cfg = dict(type='CocoDataset', ann_file=str(path), pipeline=[], classes=CLASSES, test_mode=True)
        return build_dataset(cfg)

    return build


def perfect(classes, without=''):
    """The model's results that find every box, but those of one class; labels are those of ``classes``."""
    results = []
    for name, (x, y, w, h) in BOXES.values():
        boxes = [np.zeros((0, 5), np.float32) for _ in classes]
        if name != without:
            boxes[classes.index(name)] = np.array([[x, y, x + w, y + h, 0.9]], np.float32)
        results.append(boxes)
    return results


ORDERS = [
    dict(a=1, b=2, c=3),
    dict(c=1, x=9, a=2, b=3),  # the file's own order rises with the ids
    dict(c=3, b=2, a=1),  # it falls
    dict(b=7, c=2, x=4, a=5),
]


@pytest.mark.parametrize('categories', ORDERS)
def test_perfect_detections_score_1_whatever_the_order_of_the_file(make, categories):
    dataset = make(categories)
    Detection().prepare_test_data(dataset, CLASSES)
    assert Detection().evaluate(dataset, perfect(CLASSES))['bbox_mAP'] == 1.0
    assert dataset.cat_ids == [categories[name] for name in CLASSES] and dataset.CLASSES == CLASSES
    assert dataset.get_ann_info(0)['labels'].tolist() == [0] and dataset.get_ann_info(2)['labels'].tolist() == [2]
    with_masks = [(boxes, [[dict(size=[64, 64], counts=b'')] * len(b) for b in boxes]) for boxes in perfect(CLASSES)]
    assert Detection().evaluate(dataset, with_masks)['bbox_mAP'] == 1.0


@pytest.mark.parametrize('categories', ORDERS)
def test_results_per_class_have_the_right_names(make, categories, capsys):
    dataset = make(categories)
    Detection().prepare_test_data(dataset, CLASSES)
    values = Detection().evaluate(dataset, perfect(CLASSES, without='b'), classwise=True)
    assert values['bbox_mAP'] == pytest.approx(2 / 3, abs=1e-3)
    cells = [cell.strip() for cell in capsys.readouterr().out.split('|')]
    assert {name: cells[cells.index(name) + 1] for name in CLASSES} == dict(a='1.000', b='0.000', c='1.000')


def test_the_order_of_the_model_counts(make):
    dataset = make(dict(a=1, b=2, c=3))
    Detection().prepare_test_data(dataset, ('c', 'a', 'b'))
    assert Detection().evaluate(dataset, perfect(('c', 'a', 'b')))['bbox_mAP'] == 1.0
    written = {(found['image_id'], found['category_id']) for found in dataset._det2json(perfect(('c', 'a', 'b')))}
    assert written == {(1, 1), (2, 2), (3, 3)}


def test_a_file_without_one_of_the_classes_is_refused(make):
    with pytest.raises(InputError, match=r"test.json has no class \['b'\]; its categories are \['a', 'c'\]"):
        Detection().prepare_test_data(make(dict(a=1, c=2)), CLASSES)


def test_another_data_set_must_have_the_classes_of_the_model(tmp_path):
    (tmp_path / 'list.json').write_text('[]')
    cfg = dict(type='CustomDataset', ann_file=str(tmp_path / 'list.json'), pipeline=[], test_mode=True)
    with pytest.raises(InputError, match=r"the classes \['b', 'a', 'c'\], the model \['a', 'b', 'c'\]"):
        Detection().prepare_test_data(build_dataset({**cfg, 'classes': ('b', 'a', 'c')}), CLASSES)
    Detection().prepare_test_data(build_dataset({**cfg, 'classes': CLASSES}), CLASSES)
