"""Packed annotations: the same samples, in memory that workers share."""

import gc
import importlib.util
import json
import multiprocessing
import os
import pickle
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset, build_dataset
from runs import ROOT, SOFT_TEACHER, shapes
from torch.utils.data import DataLoader

from ssod.apis import load_config, train
from ssod.data import PackedList, build_train_loader, garbage_collection_off, pack_annotations

spec = importlib.util.spec_from_file_location('annotations', ROOT / 'benchmarks/annotations.py')
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

BOXES = [dict(type='LoadAnnotations', with_bbox=True)]
MASKS = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False)]
CLASSES = ('person', 'car', 'zebra')


@pytest.fixture
def config(tmp_path):
    """``config(...)``: a data set of 60 images with 400 boxes of 80 classes, some of them crowds; files are shared."""
    path = tmp_path / 'labels.json'
    benchmark.write_coco(path, 60, 400, seed=1)

    def make(pipeline=BOXES, **settings) -> dict:
        return dict(type='CocoDataset', ann_file=str(path), pipeline=pipeline, **settings)

    return make


def packed(cfg):
    dataset = build_dataset(cfg)
    pack_annotations(dataset)
    return dataset


def assert_same(value, expected):
    """Alike to the types of numbers and the flags of arrays."""
    assert type(value) is type(expected)
    if isinstance(expected, dict):
        assert list(value) == list(expected)
        for key in expected:
            assert_same(value[key], expected[key])
    elif isinstance(expected, list):
        assert len(value) == len(expected)
        for one, other in zip(value, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert value.dtype == expected.dtype and value.shape == expected.shape and value.flags.writeable
        np.testing.assert_array_equal(value, expected)
    elif hasattr(expected, 'masks'):
        assert_same(value.masks, expected.masks)
    else:
        assert value == expected


def assert_same_items(dataset, expected, without=()):
    assert len(dataset) == len(expected) > 0
    np.testing.assert_array_equal(dataset.flag, expected.flag)
    for i in range(len(expected)):
        assert_same(dataset.data_infos[i], expected.data_infos[i])
        annotation = expected.get_ann_info(i)
        assert_same(dataset.get_ann_info(i), {key: annotation[key] for key in annotation if key not in without})
        assert dataset.get_cat_ids(i) == expected.get_cat_ids(i)
        sample, other = dataset.prepare_train_img(i), expected.prepare_train_img(i)
        assert sample.keys() == other.keys()
        for key in other.keys() - {'ann_info'}:
            assert_same(sample[key], other[key])


@pytest.mark.parametrize('filter_empty_gt, classes, number', [(True, None, 51), (True, CLASSES, 14), (False, None, 60)])
def test_every_item_is_what_it_was(config, filter_empty_gt, classes, number):
    cfg = config(filter_empty_gt=filter_empty_gt, classes=classes)
    dataset, expected = packed(cfg), build_dataset(cfg)
    assert_same_items(dataset, expected, without=('masks',))
    boxes = [len(dataset.get_ann_info(i)['bboxes']) for i in range(len(dataset))]
    assert len(dataset) == number and (0 in boxes) != filter_empty_gt
    if classes is None:
        assert sum(len(dataset.get_ann_info(i)['bboxes_ignore']) for i in range(len(dataset))) == 5
    assert not hasattr(dataset, 'coco') and dataset.CLASSES == expected.CLASSES


def test_masks_stay_where_the_pipeline_loads_them(config):
    nested = [dict(type='MultiBranch', sup=BOXES, other=MASKS)]
    assert_same_items(packed(config(MASKS)), build_dataset(config(MASKS)))
    expected = build_dataset(config(nested))
    dataset = packed(config(nested))
    assert_same(dataset.get_ann_info(3), expected.get_ann_info(3))
    assert dataset.get_ann_info(3)['masks'] and 'masks' not in packed(config()).get_ann_info(3)


def test_parts_of_a_training_set_are_packed(config, tmp_path):
    labeled = config()
    data = json.loads(Path(labeled['ann_file']).read_text())
    data['annotations'] = [{**annotation, 'score': annotation['id'] / 400} for annotation in data['annotations']]
    pseudo = {**config(), 'type': 'PseudoLabelDataset', 'ann_file': str(tmp_path / 'pseudo.json'), 'score_thr': 0.7}
    Path(pseudo['ann_file']).write_text(json.dumps(data))
    cfg = dict(type='SemiDataset', labeled=labeled, unlabeled=pseudo)
    dataset, expected = packed(cfg), build_dataset(cfg)
    for name, source in dataset.sources.items():
        assert_same_items(source, expected.sources[name], without=('masks',))
    assert len(dataset) == len(expected) == 51 + 15
    repeated = packed(dict(type='RepeatDataset', times=2, dataset=labeled))
    assert not hasattr(repeated.dataset, 'coco') and len(repeated) == 102


def test_a_data_set_without_coco_api(tmp_path):
    ann = dict(bboxes=np.ones((2, 4), np.float32), labels=np.array([1, 0]))
    mmcv.dump([dict(filename=f'{i}.png', width=40 + i, height=42, ann=ann) for i in range(5)], tmp_path / 'a.pkl')
    cfg = dict(type='CustomDataset', ann_file=str(tmp_path / 'a.pkl'), pipeline=BOXES, filter_empty_gt=False)
    dataset = packed({**cfg, 'classes': ('a', 'b')})
    assert [info['filename'] for info in dataset.data_infos] == [f'{i}.png' for i in range(5)]
    assert_same(dataset.get_ann_info(4), ann)
    assert_same(dataset[4]['gt_bboxes'], ann['bboxes'])


class AsksCoco(CocoDataset):
    """A data set of a user's own."""

    def prepare_train_img(self, idx):
        return self.coco.load_imgs([self.img_ids[idx]])[0]['file_name']


def test_a_data_set_that_prepares_samples_in_its_own_way_is_left_alone(config):
    cfg = config()
    dataset = AsksCoco(cfg['ann_file'], BOXES)
    pack_annotations(dataset)
    assert dataset[0].endswith('.jpg') and isinstance(dataset.data_infos, list)


def test_workers_give_the_same_samples(config):
    expected = build_dataset(config())
    loader = DataLoader(packed(config()), batch_size=4, num_workers=2, collate_fn=list, multiprocessing_context='fork')
    samples = [sample for batch in loader for sample in batch]
    assert len(samples) == len(expected)
    for i, sample in enumerate(samples):
        assert sample['img_info'] == expected.data_infos[i]
        assert_same(sample['gt_bboxes'], expected[i]['gt_bboxes'])
        assert_same(sample['gt_labels'], expected[i]['gt_labels'])


def private_memory(dataset) -> float:
    """MB that a forked process comes to own by asking for every item."""

    def work():
        before = benchmark.memory('smaps_rollup', 'Private_Dirty')
        for i in range(len(dataset)):
            dataset[i]
        sender.send(benchmark.memory('smaps_rollup', 'Private_Dirty') - before)

    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work)
    process.start()
    seen = receiver.recv()
    process.join()
    return seen


counts_memory = pytest.mark.skipif(not os.path.exists('/proc/self/smaps_rollup'), reason='memory is counted by Linux')


@counts_memory
def test_workers_share_the_memory_and_spawned_ones_get_little(tmp_path):
    benchmark.write_coco(tmp_path / 'labels.json', 20_000, 20_000)
    cfg = dict(type='CocoDataset', ann_file=str(tmp_path / 'labels.json'), pipeline=[], filter_empty_gt=False)
    dataset = build_dataset(cfg)
    unpacked, sent = private_memory(dataset), len(pickle.dumps(dataset))
    pack_annotations(dataset)
    assert unpacked > 25 and private_memory(dataset) < 5
    spawned = pickle.dumps(dataset)
    bytes_held = sum(
        len(pickle.dumps(part)) for part in (dataset.data_infos, dataset.get_ann_info, dataset.get_cat_ids)
    )
    assert len(spawned) < bytes_held + 200_000 < sent  # besides them: the ids, three bytes each
    assert_same(pickle.loads(spawned)[19_999], dataset[19_999])


def test_a_packed_list_is_a_list_to_read():
    items = [dict(a=1), [], None, dict(b=np.arange(3))]
    values = PackedList(iter(items))
    assert len(values) == 4 and list(values)[:3] == items[:3] and values[1:3] == [[], None] and values[-4] == dict(a=1)
    assert values[np.int64(3)]['b'].tolist() == [0, 1, 2]
    values[0]['a'] = 2  # of a copy
    assert values[0] == dict(a=1)
    assert len(PackedList([])) == 0 and list(PackedList([])) == []
    for index in (4, -5):
        with pytest.raises(IndexError):
            values[index]


class Frozen:
    """Each sample is the number of objects that garbage collection leaves alone."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(img=torch.tensor(gc.get_freeze_count()))


def test_workers_do_not_collect_what_they_share():
    before = gc.get_freeze_count()
    loader = build_train_loader(Frozen(), dict(samples_per_gpu=2, workers_per_gpu=1), seed=0)
    assert next(iter(loader))['img'].min() > before + 10_000 and gc.get_freeze_count() == before


class Stop(Exception):
    pass


@pytest.mark.filterwarnings('ignore:"ImageToTensor" pipeline is replaced')
def test_training_packs_what_it_has_checked(tmp_path, monkeypatch):
    def stop(dataset, *args, **kwargs):
        raise Stop(dataset)

    cfg = load_config(SOFT_TEACHER, {'data_root': f'{shapes()}/', 'percent': 25}, str(tmp_path))
    monkeypatch.setattr(train, 'record_config', lambda cfg, logger: '')  # takes seconds
    monkeypatch.setattr(train, 'build_train_loader', stop)
    with pytest.raises(Stop) as stopped:
        train.train_detector(cfg, seed=0)
    sources = stopped.value.args[0].sources.values()
    assert all(isinstance(source.data_infos, PackedList) and not hasattr(source, 'coco') for source in sources)
    assert gc.isenabled()


def test_garbage_collection_comes_back():
    with pytest.raises(Stop), garbage_collection_off():
        assert not gc.isenabled()
        raise Stop
    assert gc.isenabled()
    gc.disable()
    try:
        with garbage_collection_off():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
