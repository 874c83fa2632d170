"""The metrics of faster-coco-eval are pycocotools', and the AP of each class is logged."""

import json

import numpy as np
import pytest
from mmcv import Config
from mmdet.datasets import ConcatDataset, build_dataset, coco
from pycocotools import mask as rle

from ssod.core.errors import InputError
from ssod.detection import evaluation
from ssod.detection.evaluation import BACKENDS, evaluate, evaluating_by
from ssod.detection.task import Detection
from ssod.segmentation.checks import check_config

SIZE = 160
CLASSES = ('traffic light', 'a', 'b', 'never there')


def polygon(box):
    x, y, w, h = map(float, box)
    return [[x, y, x + w, y, x + w, y + h, x + w / 2, y + 0.7 * h, x, y + h]]


def crowd(box):
    """An uncompressed run-length mask, as COCO's crowds have one."""
    region = np.zeros((SIZE, SIZE), np.uint8)
    x, y, w, h = map(int, box)
    region[y : y + h, x : x + w] = 1
    flat = np.concatenate([[0], region.flatten(order='F')])
    ends = np.append(np.flatnonzero(np.diff(flat.astype(int))), SIZE * SIZE)
    return dict(size=[SIZE, SIZE], counts=np.diff(ends, prepend=0).tolist())


def truth(rng, number, categories):
    """True boxes of an image, 0 to 8 of them, one in seven a crowd; xywh."""
    annotations = []
    for _ in range(rng.integers(0, 9) if number % 5 else 0):
        size = rng.uniform(4, 120, 2)
        box = [*(rng.random(2) * (SIZE - size)), *size]
        is_crowd = int(rng.random() < 1 / 7)
        mask = crowd(box) if is_crowd else polygon(box)
        own = dict(bbox=box, area=0.8 * box[2] * box[3], iscrowd=is_crowd, segmentation=mask)
        annotations.append(dict(own, category_id=int(rng.choice(categories[:3]))))
    return annotations


def found(rng, annotations, categories, number):
    """A model's result: boxes near the true ones and anywhere, equal scores among them, and their masks."""
    boxes, masks = [[] for _ in CLASSES], [[] for _ in CLASSES]
    for _ in range(number):
        box, label = [*rng.uniform(0, 100, 2), *rng.uniform(3, 60, 2)], rng.integers(len(CLASSES))
        if annotations and rng.random() < 0.7:
            one = annotations[rng.integers(len(annotations))]
            box, label = one['bbox'] + rng.normal(0, 3, 4), categories.index(one['category_id'])
        x, y, w, h = box
        box = np.clip([x, y, x + max(w, 1), y + max(h, 1)], 0, SIZE)
        boxes[label].append([*box, round(rng.random(), 1)])
        masks[label] += rle.frPyObjects(polygon([*box[:2], *(box[2:] - box[:2] + 1)]), SIZE, SIZE)
    return [np.array(own, np.float32).reshape(-1, 5) for own in boxes], masks


@pytest.fixture(scope='module')
def case(tmp_path_factory):
    """``case(ids)``: a set of 40 images, its ids by ``ids(number)``, and results with masks, at 0 to 150 per image."""

    def make(ids=lambda number: number):
        rng, categories = np.random.default_rng(0), [3, 7, 8, 20]
        images = [dict(id=ids(n), file_name=f'{n}.png', width=SIZE, height=SIZE) for n in range(40)]
        annotations, results = [], []
        for number, image in enumerate(images):
            own = truth(rng, number, categories)
            annotations += [dict(one, image_id=image['id'], id=ids(len(annotations) + i)) for i, one in enumerate(own)]
            results.append(found(rng, own, categories, (0, 3, 40, 150)[number % 4]))
        listed = [dict(id=i, name=name) for i, name in zip(categories, CLASSES, strict=True)]
        path = tmp_path_factory.mktemp('case') / 'test.json'
        path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=listed)))
        cfg = dict(type='CocoDataset', ann_file=str(path), pipeline=[], classes=CLASSES, test_mode=True)
        return build_dataset(cfg), results

    return make


def by(backend, dataset, results, **options):
    """MMDetection's metrics; of each evaluation the twelve figures, unrounded, all precisions and all recalls."""
    with evaluating_by(backend) as made:
        values = dataset.evaluate(results, logger='silent', **options)
    return values, [[np.array(part) for part in (one.stats, one.eval['precision'], one.eval['recall'])] for one in made]


CASES = [
    ('masks', dict(metric=['bbox', 'segm'])),
    ('boxes', dict(metric='bbox')),
    ('boxes', dict(metric='bbox', proposal_nums=(5, 10, 20))),
    ('boxes', dict(metric='proposal')),  # 150 per image, of which mAP, the first figure, counts 100
]


@pytest.mark.parametrize('kind, options', CASES, ids=str)
def test_the_figures_are_those_of_the_reference(case, kind, options):
    dataset, results = case()
    results = results if kind == 'masks' else [boxes for boxes, _ in results]
    (faster, figures), (reference, expected) = (by(name, dataset, results, **options) for name in BACKENDS)
    assert faster == reference and len(figures) == len(expected) > 0
    for own, other in zip(figures, expected, strict=True):
        for part, reference_part in zip(own, other, strict=True):
            np.testing.assert_allclose(part.reshape(reference_part.shape), reference_part, rtol=0, atol=1e-15)
        assert np.unique(own[1]).size > 50


def test_ids_of_other_kinds_are_evaluated_by_the_reference(case, monkeypatch):
    dataset, results = case()
    expected = evaluate(dataset, results, metric='bbox')
    for ids in ('{:05}'.format, lambda number: 2**60 + number):
        assert evaluate(*case(ids), metric='bbox') == expected
    monkeypatch.setattr(evaluation.FasterCOCOeval, 'evaluate', None)
    assert evaluate(*case('{:05}'.format), metric='bbox') == expected
    with pytest.raises(TypeError):
        evaluate(dataset, results, metric='bbox')


def test_each_class_has_its_ap_and_their_mean_is_the_map(case):
    dataset, results = case()
    faster, reference = (evaluate(dataset, results, name, metric=['bbox', 'segm']) for name in BACKENDS)
    assert faster == reference and next(iter(faster)) == 'bbox_mAP'
    for kind in ('bbox', 'segm'):
        own = [faster[f'{kind}_AP.{name}'] for name in ('traffic_light', 'a', 'b')]
        assert all(0.05 < ap < 1 for ap in own) and faster[f'{kind}_AP.never_there'] == -1
        assert np.mean(own) == pytest.approx(faster[f'{kind}_mAP'], abs=1e-3)
    assert not [key for key in evaluate(dataset, results, classwise=False) if 'AP.' in key]
    assert not [key for key in evaluate(dataset, [boxes for boxes, _ in results], metric='proposal') if 'AP.' in key]


@pytest.mark.parametrize(
    'classwise, most, table', [(None, 3, False), (None, 4, True), (True, 3, True), (False, 4, False)]
)
def test_a_table_of_few_classes_or_where_it_is_asked_for(case, monkeypatch, capsys, classwise, most, table):
    monkeypatch.setattr(evaluation, 'TABLE', most)
    evaluate(*case(), metric='bbox', **({} if classwise is None else dict(classwise=classwise)))
    assert ('| category ' in capsys.readouterr().out) == table


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_set_without_a_detection_has_no_metrics_and_mmdetection_is_as_before(case, backend):
    dataset, results = case()
    before = coco.COCOeval
    nothing = [[np.zeros((0, 5), np.float32) for _ in CLASSES] for _ in results]
    assert evaluate(dataset, nothing, backend) == {}
    with pytest.raises(KeyError):
        evaluate(dataset, nothing, backend, metric='mIoU')
    assert coco.COCOeval is before


def test_each_part_of_several_sets_has_its_own(case):
    dataset, results = case()
    both = ConcatDataset([dataset, case()[0]])
    values = evaluate(both, results + results[::-1])
    alone = evaluate(dataset, results)
    assert {key: value for key, value in values.items() if key.startswith('0_')} == {
        f'0_{key}': value for key, value in alone.items()
    }
    assert values['1_bbox_AP.a'] != alone['bbox_AP.a'] and len(values) == 2 * len(alone)


def test_another_backend_is_refused_and_label_maps_have_none():
    cfg = Config(dict(evaluation=dict(backend='coco'), data={}, model={}))
    with pytest.raises(InputError, match="evaluation.backend is one of faster_coco_eval, pycocotools, got 'coco'"):
        Detection().check_config(cfg, ('test',))
    with pytest.raises(InputError, match='evaluation.backend is for boxes and masks, and label maps have none'):
        check_config(cfg, ('test',))
