"""What can be wrong in a COCO file: each said with file, entry and what to do; what a good program takes is taken."""

import json
import time

import numpy as np
import pytest
from bad_input import ANNOTATIONS, TAKEN, TEXTS, changed, good
from mmdet.datasets import build_dataset

from ssod.apis.data_checks import building_data, check_source
from ssod.core.errors import InputError
from ssod.data.annotations import check_annotations


@pytest.fixture
def config(tmp_path):
    """``config(content)``: a data set of a dictionary, or of a text."""

    def make(content):
        path = tmp_path / 'train.json'
        if isinstance(content, dict):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return dict(type='CocoDataset', ann_file=str(path), img_prefix='', classes=('cell', 'dust'), pipeline=[])

    return make


def build(config):
    with building_data('data.train', [config]):
        dataset = build_dataset(config)
    check_source(dataset, headers=0)
    return dataset


@pytest.mark.parametrize('name', ANNOTATIONS)
def test_it_is_refused_with_file_entry_and_advice(config, name):
    change, sentence = ANNOTATIONS[name]
    content = changed(change)
    with pytest.raises(InputError) as refused:
        check_annotations(content, 'a/train.json')
    assert str(refused.value).startswith('a/train.json') and sentence in str(refused.value)
    cfg = config(content)
    before = open(cfg['ann_file'], 'rb').read()
    with pytest.raises(InputError) as through:  # as a training builds it, whatever MMDetection does with it
        build(cfg)
    assert str(through.value) == str(refused.value).replace('a/train.json', cfg['ann_file'])
    assert open(cfg['ann_file'], 'rb').read() == before


@pytest.mark.parametrize('name', TEXTS)
def test_a_file_that_is_no_coco_file(config, name):
    text, sentence = TEXTS[name]
    cfg = config(text)
    with pytest.raises(InputError) as refused:
        build(cfg)
    assert str(refused.value).startswith(f'{cfg["ann_file"]} {sentence}') and '\n' not in str(refused.value)


def test_another_error_keeps_its_sentence(config):
    with pytest.raises(InputError, match='data.train: CocoDataset: .?Resise is not in the pipeline registry'):
        build({**config(good()), 'pipeline': [dict(type='Resise')]})


@pytest.mark.parametrize('name', TAKEN)
def test_what_is_taken(config, name):
    change, warnings = TAKEN[name]
    content = changed(change)
    cfg = config(content)
    path = cfg['ann_file']
    assert check_annotations(content, path) == [f'{path}: {warning}' for warning in warnings]
    dataset = build({**cfg, 'filter_empty_gt': False})
    boxes = [dataset.get_ann_info(i)['bboxes'] for i in range(2)]
    left_out = bool(warnings) or name in ('no annotations at all', 'crowds')
    assert len(boxes[0]) == (0 if left_out else 1)
    assert len(boxes[1]) == (0 if 'annotations' in name and 'without' in name or 'no annotations' in name else 1) or (
        name == 'an annotation without image'
    )


def test_gaps_in_ids_and_categories_leave_labels_right(config):
    dataset = build(config(good()))
    assert [dataset.get_ann_info(i)['labels'].tolist() for i in range(2)] == [[0], [1]]
    np.testing.assert_array_equal(dataset.get_ann_info(0)['bboxes'], [[4, 5, 24, 21]])


def test_a_large_file_is_checked_in_seconds():
    """100 000 boxes; COCO has 860 000."""
    content = good()
    content['annotations'] = [dict(content['annotations'][0], id=i) for i in range(100_000)]
    start = time.perf_counter()
    assert check_annotations(content, 'x.json') == []
    assert time.perf_counter() - start < 5
