"""Detections of unlabeled images as a COCO file."""

import json
import os

import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset, build_dataset
from pycocotools import mask as rle
from runs import (
    BASELINE,
    MASKS,
    SOFT_TEACHER,
    call,
    class_names,
    refusal,
    shapes,
    small,
    taught,
    trained_baseline,
    trained_masks,
)

from ssod.apis import labeling as tool

SCRIPT = 'tools/pseudo_label.py'


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 5)


@pytest.fixture
def unlabeled(tmp_path):
    """Three images; the file numbers its classes 7 and 2, in this order, and knows one that is not asked for."""
    images = [dict(id=i, file_name=f'{i}.jpg', width=64, height=48) for i in (30, 10, 20)]
    categories = [dict(id=7, name='b'), dict(id=5, name='other'), dict(id=2, name='a')]
    path = tmp_path / 'unlabeled.json'
    path.write_text(json.dumps(dict(images=images, categories=categories)))
    return CocoDataset(str(path), [], classes=('b', 'a'), test_mode=True)


def test_hand_worked_conversion(unlabeled):
    detections = [
        [boxes([1, 2, 11, 22, 0.5], [0, 0, 4, 4, 0.25]), boxes()],  # of image 30
        [boxes(), boxes()],
        [boxes([8, 8, 24, 16, 0.75]), boxes([0.5, 1.5, 3, 2, 1.0])],  # of image 20
    ]
    content = tool.to_coco(unlabeled, detections, 0.25)
    assert content['annotations'] == [
        dict(id=1, image_id=30, category_id=7, bbox=[1, 2, 10, 20], area=200, iscrowd=0, score=0.5),
        dict(id=2, image_id=20, category_id=7, bbox=[8, 8, 16, 8], area=128, iscrowd=0, score=0.75),
        dict(id=3, image_id=20, category_id=2, bbox=[0.5, 1.5, 2.5, 0.5], area=1.25, iscrowd=0, score=1.0),
    ]
    assert content['info']['score_thr'] == 0.25
    assert [image['id'] for image in content['images']] == [30, 10, 20]
    assert [category['id'] for category in content['categories']] == [7, 5, 2]
    assert tool.summary(content) == '3 images, 3 boxes: 2 above 0.7, 1 above 0.9'
    assert json.loads(json.dumps(content)) == content


def square(x1, y1, x2, y2):
    """Run lengths of a rectangle on 64 x 48 pixels."""
    pixels = np.zeros((48, 64), np.uint8, order='F')
    pixels[y1:y2, x1:x2] = 1
    return rle.encode(pixels)


def test_masks_are_written_and_read_back(unlabeled, tmp_path):
    """The second mask of image 30 is empty: its box is left out. A mask has the area of its pixels."""
    detections = [
        ([boxes([1, 2, 11, 22, 0.9], [0, 0, 4, 4, 0.95]), boxes()], [[square(1, 2, 11, 12), square(0, 0, 0, 0)], []]),
        ([boxes(), boxes()], [[], []]),
        ([boxes(), boxes([5, 5, 20, 30, 0.6], [5, 5, 9, 9, 0.4])], [[], [square(6, 6, 18, 30), square(5, 5, 9, 9)]]),
    ]
    content = json.loads(json.dumps(tool.to_coco(unlabeled, detections, 0.5)))
    assert [(a['id'], a['image_id'], a['area'], a['score']) for a in content['annotations']] == [
        (1, 30, 100, pytest.approx(0.9)),
        (2, 20, 288, pytest.approx(0.6)),
    ]
    (tmp_path / 'pseudo.json').write_text(json.dumps(content))
    dataset = build_dataset(
        dict(
            type='PseudoLabelDataset',
            ann_file=str(tmp_path / 'pseudo.json'),
            classes=('b', 'a'),
            score_thr=0.5,
            pipeline=[dict(type='LoadInstances')],
        )  # fmt: skip
    )
    masks = dataset[1]['gt_masks'].masks
    assert masks.shape == (1, 48, 64)
    np.testing.assert_array_equal(masks[0], rle.decode(square(6, 6, 18, 30)))


def test_images_without_detections_stay(unlabeled):
    content = tool.to_coco(unlabeled, [[boxes(), boxes()]] * 3, 0.0)
    assert content['annotations'] == [] and len(content['images']) == 3
    assert tool.summary(content) == '3 images, 0 boxes: 0 above 0.7, 0 above 0.9'


def test_what_was_written_is_read_back(unlabeled, tmp_path):
    detections = [[boxes([1, 2, 11, 22, 0.9]), boxes([5, 5, 20, 30, 0.6])], [boxes(), boxes()], [boxes(), boxes()]]
    tool.write_json(tool.to_coco(unlabeled, detections, 0.5), tmp_path / 'pseudo.json')
    cfg = dict(type='PseudoLabelDataset', ann_file=str(tmp_path / 'pseudo.json'), pipeline=[], classes=('b', 'a'))
    dataset = build_dataset({**cfg, 'score_thr': 0.5})
    assert [info['id'] for info in dataset.data_infos] == [30]
    info = dataset.get_ann_info(0)
    np.testing.assert_array_equal(info['bboxes'], [[1, 2, 11, 22], [5, 5, 20, 30]])
    assert info['labels'].tolist() == [0, 1]
    assert build_dataset({**cfg, 'score_thr': 0.8}).get_ann_info(0)['labels'].tolist() == [0]


def test_a_run_that_dies_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'pseudo.json'
    tool.write_json({'old': 1}, path)
    monkeypatch.setattr(os, 'replace', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tool.write_json({'new': 1}, path)
    assert json.loads(path.read_text()) == {'old': 1}
    assert [file.name for file in tmp_path.iterdir()] == ['pseudo.json']


def run(config, checkpoint, out, *options):
    call(SCRIPT, config, checkpoint, '--out', out, *options)
    return json.loads(out.read_text())


def test_a_baseline_labels_the_unlabeled_images_of_its_config(tmp_path, capsys):
    checkpoint = trained_baseline() / 'iter_2.pth'
    content = run(BASELINE, checkpoint, tmp_path / 'new/pseudo.json', '--score-thr', 0.1, *small())
    assert 'new/pseudo.json: 18 images, ' in capsys.readouterr().out
    source = json.loads((shapes() / 'annotations/semi_supervised/instances_train.1@25-unlabeled.json').read_text())
    assert content['images'] == source['images'] and content['categories'] == source['categories']
    assert len(content['annotations']) > 0 and {a['category_id'] for a in content['annotations']} <= {1, 2, 3, 4}
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        assert min(x, y, w, h) >= 0 and x + w <= 96 and y + h <= 96 and annotation['score'] > 0.1
    assert [file.name for file in (tmp_path / 'new').iterdir()] == ['pseudo.json']


def test_a_mask_detector_labels_with_masks(tmp_path):
    content = run(MASKS, trained_masks() / 'iter_4.pth', tmp_path / 'pseudo.json', '--score-thr', 0.1, *small())
    assert len(content['annotations']) > 0
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        ys, xs = np.nonzero(rle.decode(annotation['segmentation']))
        assert annotation['segmentation']['size'] == [96, 96] and len(ys) == annotation['area'] > 0
        assert xs.min() >= x - 1.5 and ys.min() >= y - 1.5 and xs.max() <= x + w + 1.5 and ys.max() <= y + h + 1.5


def test_a_file_of_another_order_gets_the_same_boxes_under_the_same_names(tmp_path):
    source = shapes() / 'annotations/semi_supervised/instances_train.1@25-unlabeled.json'
    reordered = json.loads(source.read_text())
    reordered['categories'].reverse()
    (tmp_path / 'reordered.json').write_text(json.dumps(reordered))
    found = []
    for ann, name in ((source, 'a.json'), (tmp_path / 'reordered.json', 'b.json')):
        options = ['--score-thr', 0.1, *small(unlabeled_ann=ann)]
        found.append(run(BASELINE, trained_baseline() / 'iter_2.pth', tmp_path / name, *options))
    assert found[0] == found[1] and len(found[0]['annotations']) > 0  # training takes the second, too


def test_threshold_is_the_configs_where_that_is_below_a_half(tmp_path):
    checkpoint = trained_baseline() / 'iter_2.pth'
    low = run(BASELINE, checkpoint, tmp_path / 'low.json', *small(pseudo_score_thr=0.15))
    assert low['info']['score_thr'] == 0.15 and len(low['annotations']) > 0
    default = run(BASELINE, checkpoint, tmp_path / 'default.json', *small())
    assert default['info']['score_thr'] == 0.5 and len(default['images']) == 18


def test_student_and_teacher_of_soft_teacher_each_label(checkpoint, tmp_path):
    found = {}
    for name in ('student', 'teacher'):
        options = ['--eval-on', name, '--score-thr', 0.05, *taught()]
        found[name] = run(SOFT_TEACHER, checkpoint, tmp_path / f'{name}.json', *options)['annotations']
    assert len(found['student']) > 0 and found['student'] != found['teacher']


def test_refusals(tmp_path):
    checkpoint = trained_baseline() / 'iter_2.pth'
    out = tmp_path / 'pseudo.json'

    with pytest.raises(SystemExit, match='2'):
        call(SCRIPT, BASELINE, checkpoint, '--out', out, '--score-thr', 90)

    def refused(*options, weights=checkpoint, out=out, **settings):
        return refusal(SCRIPT, BASELINE, weights, '--out', out, *options, *small(**settings))

    assert 'no checkpoint lost.pth' in refused(weights='lost.pth')
    assert 'lost.json does not exist' in refused(unlabeled_ann='lost.json')
    assert 'FasterRCNN has no teacher: it is a single detector' in refused('--eval-on', 'teacher')
    assert f'--out {tmp_path} would overwrite' in refused(out=tmp_path)
    source = shapes() / 'annotations/semi_supervised/instances_train.1@25-unlabeled.json'
    assert f'--out {source} would overwrite {source}, which is read: give another file' in refused(out=source)
    labeled = shapes() / 'annotations/semi_supervised/instances_train.1@25.json'
    assert f'--out {labeled} would overwrite {labeled}, which is read' in refused(out=labeled)
    assert f'--out {checkpoint} would overwrite {checkpoint}, which is read' in refused(out=checkpoint)
    assert 'images/val' in refused(unlabeled_images='images/val/')  # the images are not there
    (tmp_path / 'file').touch()
    assert 'cannot make the folder' in refused(out=tmp_path / 'file/pseudo.json')

    state = torch.load(checkpoint)
    state['meta']['CLASSES'] = [*class_names()[:3], 'moon']
    torch.save(state, tmp_path / 'moon.pth')
    assert "was trained for the classes ['circle', 'triangle', 'star', 'moon']" in refused(
        weights=tmp_path / 'moon.pth'
    )
    (tmp_path / 'empty.json').write_text(
        json.dumps(dict(images=[], categories=json.loads(source.read_text())['categories']))
    )
    assert 'empty.json has no image' in refused(unlabeled_ann=tmp_path / 'empty.json')
    assert not out.exists()


def test_a_config_that_names_no_unlabeled_images_is_refused(tmp_path):
    config = tmp_path / 'plain.py'
    config.write_text(
        "model = dict(type='FasterRCNN')\ndata = dict(train=dict(type='CocoDataset'), test=dict(type='CocoDataset'))\n"
    )
    assert 'names no unlabeled images' in refusal(SCRIPT, config, 'any.pth', '--out', tmp_path / 'pseudo.json')
