"""Pseudo labels read from a file: which stay, what of them reaches the student."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import build_dataset
from runs import ROOT, shapes

from ssod.apis import load_config
from ssod.data.views import transform_matrix

# image, category, score: of four images the last has none.
BOXES = [(1, 1, 0.95), (1, 2, 0.5), (1, 2, 0.85), (2, 1, 0.4), (3, 2, 0.51)]


@pytest.fixture
def make(coco, tmp_path):
    """``make(boxes, score_thr, ...)``: a data set of 4 images; ``info``, ``categories`` change its file."""

    def build(boxes=BOXES, score_thr=0.5, info=None, categories=None, filter_empty_gt=True):
        cfg = coco(f'set{len(list(tmp_path.iterdir()))}', [(40, 34)] * 4, boxes=False)
        path = Path(cfg['ann_file'])
        data = json.loads(path.read_text())
        data['annotations'] = [
            dict(id=i, image_id=image, category_id=category, bbox=[i, 2, 10, 12], area=120, iscrowd=0, score=score)
            for i, (image, category, score) in enumerate(boxes, 1)
        ]
        data['categories'] = categories or data['categories']
        path.write_text(json.dumps({**data, 'info': info or {}}))
        cfg.update(type='PseudoLabelDataset', score_thr=score_thr, filter_empty_gt=filter_empty_gt)
        return build_dataset(cfg)

    return build


def test_boxes_above_the_threshold_stay_and_images_without_any_are_dropped(make):
    dataset = make()
    assert [info['id'] for info in dataset.data_infos] == [1, 3]  # 0.4 and 0.5 are not above 0.5
    first, second = dataset[0], dataset[1]
    np.testing.assert_array_equal(first['gt_bboxes'], [[1, 2, 11, 14], [3, 2, 13, 14]])
    assert first['gt_labels'].tolist() == [0, 1] and second['gt_labels'].tolist() == [1]
    assert [int(sample['img'][0, 0, 0]) for sample in (first, second)] == [1, 3]
    assert len(dataset.flag) == 2 and dataset.get_cat_ids(0) == [1, 2]


@pytest.mark.parametrize('score_thr, ids', [(0.0, [1, 2, 3]), (0.4, [1, 3]), (0.9, [1])])
def test_threshold_of_zero_keeps_all_and_a_high_one_few(make, score_thr, ids):
    dataset = make(score_thr=score_thr)
    assert [info['id'] for info in dataset.data_infos] == ids
    kept = sum(len(dataset[i]['gt_labels']) for i in range(len(dataset)))
    assert kept == sum(score > score_thr for *_, score in BOXES)


def test_every_image_can_stay(make):
    dataset = make(score_thr=0.99, filter_empty_gt=False)
    assert len(dataset) == 4
    for sample in dataset:
        assert sample['gt_bboxes'].shape == (0, 4) and sample['gt_labels'].shape == (0,)
    assert len(make(boxes=[], filter_empty_gt=False)) == 4


def test_default_threshold_is_stacs(coco):
    cfg = coco('plain', [(40, 34)])
    data = json.loads(Path(cfg['ann_file']).read_text())
    data['annotations'][0]['score'] = 0.91
    Path(cfg['ann_file']).write_text(json.dumps(data))
    assert build_dataset({**cfg, 'type': 'PseudoLabelDataset'}).score_thr == 0.9


def test_annotations_without_a_score_are_refused(coco):
    with pytest.raises(ValueError, match=r'labels\.json has annotations without a score: write it with'):
        build_dataset({**coco('labels', [(40, 34)]), 'type': 'PseudoLabelDataset'})


def test_thresholds_that_leave_nothing_or_that_the_file_cannot_answer_are_refused(make):
    with pytest.raises(ValueError, match=r'no box with a score above 0.96, the highest is at most 0.95'):
        make(score_thr=0.96)
    with pytest.raises(ValueError, match=r'no box with a score above 0.9, the highest is at most 0.70'):
        make(boxes=[], score_thr=0.9, info=dict(score_thr=0.7))
    with pytest.raises(ValueError, match=r'holds the boxes above 0.5 alone, score_thr is 0.4'):
        make(score_thr=0.4, info=dict(score_thr=0.5))
    assert len(make(score_thr=0.5, info=dict(score_thr=0.5))) == 2


def test_classes_in_another_order_are_refused(make):
    swapped = [dict(id=1, name='dust'), dict(id=2, name='cell')]
    with pytest.raises(ValueError, match=r"has the classes \['dust', 'cell'\], the config \['cell', 'dust'\]"):
        make(categories=swapped)


def test_the_demos_strong_view_moves_the_pseudo_boxes(tmp_path):
    data = json.loads((shapes() / 'annotations/instances_train.json').read_text())
    data['annotations'] = [{**annotation, 'score': 0.8} for annotation in data['annotations']]
    (tmp_path / 'pseudo.json').write_text(json.dumps(data))
    pseudo_ann = {'data.train.unlabeled.ann_file': str(tmp_path / 'pseudo.json')}
    options = {'data_root': f'{shapes()}/', 'percent': 25, **pseudo_ann}
    train = load_config(str(ROOT / 'configs/demo/stac_r18_shapes.py'), options).data.train
    np.random.seed(0)
    source = build_dataset(train).sources['unlabeled']
    compared = 0
    for i in range(len(source)):
        view = source[i]['unsup_student']
        meta, boxes = view['img_metas'].data, view['gt_bboxes'].data.numpy()
        assert meta['branch'] == 'unsup_student' and len(boxes) == len(view['gt_labels'].data)
        matrix = meta['transform_matrix']
        if abs(matrix[:2, 0] @ matrix[:2, 1]) > 1e-5:
            continue  # a shear along x, then along y: the hull of a hull
        expected = transform_matrix.transform_boxes(source.get_ann_info(i)['bboxes'], matrix, meta['img_shape'][:2])
        expected = expected[(expected[:, 2:] > expected[:, :2]).all(axis=1)]
        np.testing.assert_allclose(boxes, expected, atol=0.05)
        compared += len(boxes)
    assert compared > 30
