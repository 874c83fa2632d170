"""Loaders: batches a branch, draws that no worker can change, evaluation in order."""

import random
from itertools import islice

import numpy as np
import pytest
import torch
from mmcv.parallel import DataContainer
from mmdet.datasets import build_dataset
from mmdet.datasets.builder import PIPELINES
from runs import ROOT, shapes
from torch.utils.data import Dataset
from torch.utils.data._utils.pin_memory import pin_memory

from ssod.apis import load_config
from ssod.core.errors import InputError
from ssod.data import (
    SampleKey,
    SeededDataset,
    build_test_loader,
    build_train_loader,
    collate_branches,
    collate_views,
    pack_annotations,
)
from ssod.data import (
    loader as loaders,
)
from ssod.data.loader import test_dataset_config as config_of_a_test

NORM = dict(type='Normalize', mean=[0.0] * 3, std=[1.0] * 3, to_rgb=False)
KEYS = ('filename', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'transform_matrix')


def view(keys, width):
    """A pipeline that flips by chance."""
    return [
        dict(type='ResizeWithMatrix', img_scale=(width, width), keep_ratio=True),
        dict(type='FlipWithMatrix', flip_ratio=0.5),
        dict(type='Pad', size_divisor=8),
        NORM,
        dict(type='DefaultFormatBundle'),
        dict(type='Collect', keys=keys, meta_keys=KEYS),
    ]


@pytest.fixture
def semi(coco):
    """40 labeled and 60 unlabeled images, some of them upright."""
    sizes = [(40, 34), (34, 40), (48, 34)]
    labeled, unlabeled = coco('labeled', (sizes * 14)[:40]), coco('unlabeled', sizes * 20, boxes=False)
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
    sup = dict(type='MultiBranch', sup=view(['img', 'gt_bboxes', 'gt_labels'], 64))
    unsup = dict(type='MultiBranch', unsup_teacher=view(['img'], 64), unsup_student=view(['img'], 96))
    labeled['pipeline'], unlabeled['pipeline'] = [*load, sup], [*load, unsup]
    return build_dataset(dict(type='SemiDataset', labeled=labeled, unlabeled=unlabeled))


def loader(dataset, workers=0, **kwargs):
    sampler = dict(ratio=[1, 4], by_prob=False)
    return build_train_loader(dataset, dict(samples_per_gpu=5, workers_per_gpu=workers, sampler=sampler), **kwargs)


def first(data_loader, count):
    return list(islice(data_loader, count))


def files(batch, branch):
    return [meta['filename'] for meta in batch[branch]['img_metas'].data[0]]


def assert_equal_batches(one, other):
    assert one.keys() == other.keys()
    for branch in one:
        assert files(one, branch) == files(other, branch)
        assert torch.equal(one[branch]['img'].data[0], other[branch]['img'].data[0])


def test_a_batch_has_one_mmdet_batch_a_branch_padded_by_itself(semi):
    batch = first(loader(semi, seed=0), 1)[0]
    assert set(batch) == {'sup', 'unsup_teacher', 'unsup_student'}
    sup, teacher, student = (batch[name]['img'].data[0] for name in ('sup', 'unsup_teacher', 'unsup_student'))
    assert len(sup) == 1 and len(teacher) == len(student) == 4
    assert max(teacher.shape[2:]) == 64 and max(student.shape[2:]) == 96
    assert files(batch, 'unsup_teacher') == files(batch, 'unsup_student')
    assert batch['sup']['gt_bboxes'].data[0][0].shape == (1, 4) and 'gt_bboxes' not in batch['unsup_student']


def test_draws_do_not_depend_on_the_number_of_workers(semi):
    alone, helped = (first(loader(semi, workers, seed=4), 4) for workers in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        assert_equal_batches(one, other)


def test_a_later_start_gives_the_batches_from_there(semi):
    whole, rest = first(loader(semi, seed=4), 4), first(loader(semi, seed=4, start=2), 2)
    for one, other in zip(whole[2:], rest, strict=True):
        assert_equal_batches(one, other)
    assert files(whole[0], 'unsup_teacher') != files(whole[1], 'unsup_teacher')


def test_batches_keep_to_landscape_or_upright_images(semi):
    for batch in first(loader(semi, seed=0), 10):
        shapes = [meta['ori_shape'] for name in batch for meta in batch[name]['img_metas'].data[0]]
        assert len({width >= height for height, width, _ in shapes}) == 1


def test_labeled_images_decay_and_a_resumed_run_goes_on_with_it(semi):
    sampler = dict(ratio=[1, 4], by_prob=False, at_least_one=False, decay=dict(iters=4, max_iters=6))
    data_cfg = dict(samples_per_gpu=5, workers_per_gpu=0, sampler=sampler)
    whole, rest = (first(build_train_loader(semi, data_cfg, seed=4, start=start), 8 - start) for start in (0, 5))
    # One a batch; from the third batch on 1, 0.75, 0.5, 0.25, summed and rounded up.
    assert ['sup' in batch for batch in whole] == [True, True, True, True, True, False, False, False]
    assert [len(files(batch, 'unsup_student')) for batch in whole] == [4, 4, 4, 4, 4, 5, 5, 5]
    for one, other in zip(whole[5:], rest, strict=True):
        assert_equal_batches(one, other)


def test_a_plain_data_set_gives_plain_batches(semi):
    labeled = semi.sources['labeled']
    labeled.pipeline.transforms[-1] = labeled.pipeline.transforms[-1].pipelines['sup']
    batch = first(build_train_loader(labeled, dict(samples_per_gpu=3, workers_per_gpu=0), seed=0), 1)[0]
    assert set(batch) == {'img', 'img_metas', 'gt_bboxes', 'gt_labels'} and len(batch['img'].data[0]) == 3


class Draws(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def test_a_sample_draws_from_its_key_alone():
    dataset = SeededDataset(Draws())
    before = dataset[SampleKey(1, 7)]
    other = dataset[SampleKey(1, 8)]
    assert dataset[SampleKey(1, 7)] == before and len(dataset) == 3
    assert all(a != b for a, b in zip(before[1:], other[1:], strict=True))
    assert dataset[SampleKey(2, 7)] == (2, *before[1:])
    dataset[SampleKey(0, 2**32 - 1)]  # numpy's largest seed


def test_samples_of_different_branches_are_collated_apart():
    def sample(name, value, side):
        img = DataContainer(torch.full((3, side, side), value), stack=True)
        return {name: dict(img=img)}

    batch = collate_branches([sample('a', 1.0, 4), sample('b', 2.0, 8), sample('a', 3.0, 2)])
    assert batch['a']['img'].data[0].shape == (2, 3, 4, 4) and batch['b']['img'].data[0].shape == (1, 3, 8, 8)
    assert batch['a']['img'].data[0][:, 0, 0, 0].tolist() == [1, 3] and batch['a']['img'].data[0][1, 0, 3, 3] == 0


def raw_views(sizes):
    """Views as ``NormalizeOnDevice`` ends them: (h, w) images of noise, padded to multiples of 8."""
    op, rng = PIPELINES.build(dict(NORM, type='NormalizeOnDevice', size_divisor=8)), np.random.RandomState(0)
    collect = PIPELINES.build(dict(type='Collect', keys=['img'], meta_keys=('pad_shape', 'img_norm_cfg')))
    return [collect(op(dict(img=rng.randint(1, 256, (h, w, 3)).astype(np.uint8)))) for h, w in sizes]


def test_raw_images_become_one_zero_padded_uint8_tensor(monkeypatch):
    views = raw_views([(16, 24), (10, 30), (17, 5)])
    dirty = torch.full((3, 24, 32, 3), 9, dtype=torch.uint8)
    monkeypatch.setattr(loaders, '_empty', lambda size: dirty.view(size))
    batch = collate_views(views)
    images = batch['img'].data[0]
    assert images.shape == (3, 24, 32, 3) and images.dtype == torch.uint8 and images.is_contiguous()
    for image, view in zip(images.numpy(), views, strict=True):
        h, w = view['img'].data.shape[:2]
        np.testing.assert_array_equal(image[:h, :w], view['img'].data)
        assert not image[h:].any() and not image[:, w:].any()
    assert [meta['pad_shape'] for meta in batch['img_metas'].data[0]] == [(16, 24, 3), (16, 32, 3), (24, 8, 3)]


def test_a_batch_is_padded_to_the_smallest_bucket_that_holds_it():
    views = raw_views([(16, 24), (10, 30), (17, 5)])  # 24 x 32 pixels, padded to multiples of 8
    buckets = [(64, 32), (32, 32), (32, 64)]
    plain, batch = (collate_views(views, sizes)['img'].data[0] for sizes in ((), buckets))
    assert plain.shape == (3, 24, 32, 3) and batch.shape == (3, 32, 32, 3)
    assert torch.equal(batch[:, :24], plain) and not batch[:, 24:].any()
    assert collate_branches([dict(sup=view) for view in views], [(32, 24)])['sup']['img'].data[0].shape == plain.shape
    with pytest.raises(InputError, match='none holds a batch of 32 x 24 pixels, add one'):
        collate_views(views, [(24, 32), (31, 64)])
    maps = [{**view, 'gt_semantic_seg': DataContainer(torch.zeros(1, 24, 32), stack=True)} for view in views]
    assert collate_views(maps, [(32, 24)])['img'].data[0].shape == plain.shape
    with pytest.raises(InputError, match='does not pad label maps'):
        collate_views(maps, buckets)
    tensors = [dict(img=DataContainer(torch.zeros(3, 8, 8), stack=True))]
    with pytest.raises(InputError, match='wants images of NormalizeOnDevice'):
        collate_views(tensors, [(8, 8)])


def test_raw_images_can_be_pinned(monkeypatch):
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda images: images + 1)  # which wants a GPU
    batch = collate_branches([dict(sup=view) for view in raw_views([(8, 8), (8, 8)])])
    pinned = pin_memory(batch)
    assert torch.equal(pinned['sup']['img'].data[0], batch['sup']['img'].data[0] + 1)
    assert pinned['sup']['img'].stack and not pinned['sup']['img'].cpu_only
    assert pinned['sup']['img_metas'].data == batch['sup']['img_metas'].data


def test_raw_images_without_what_normalises_them_are_refused():
    views = raw_views([(8, 8)])
    del views[0]['img_metas'].data['img_norm_cfg']
    with pytest.raises(ValueError, match=r"\['img_norm_cfg'\] among the meta_keys of Collect"):
        collate_views(views)


def test_raw_images_come_from_workers_as_they_are_collated_here(semi):
    for dataset in semi.sources.values():
        for pipeline in dataset.pipeline.transforms[-1].pipelines.values():
            on_device = PIPELINES.build(dict(NORM, type='NormalizeOnDevice', size_divisor=8))
            pipeline.transforms[2:5] = [on_device]
            pipeline.transforms[-1].meta_keys = (*KEYS, 'img_norm_cfg')
    alone, helped = (first(loader(semi, workers, seed=4), 3) for workers in (0, 1))
    for one, other in zip(alone, helped, strict=True):
        assert_equal_batches(one, other)
        assert other['sup']['img'].data[0].is_shared() and other['sup']['img'].data[0].dtype == torch.uint8


@pytest.mark.filterwarnings('ignore:"ImageToTensor" pipeline is replaced')
@pytest.mark.parametrize('batch_size', [1, 2])
def test_evaluation_reads_every_image_once_in_order(coco, batch_size):
    cfg = coco('val', [(40, 34), (34, 40), (40, 34)])
    test_time = [
        dict(type='Resize', keep_ratio=True),
        dict(type='RandomFlip'),
        dict(type='Pad', size_divisor=8),
        NORM,
        dict(type='ImageToTensor', keys=['img']),
        dict(type='Collect', keys=['img'], meta_keys=KEYS[:-1]),
    ]
    cfg['pipeline'] = [
        dict(type='LoadImageFromFile'),
        dict(type='MultiScaleFlipAug', img_scale=(64, 64), flip=False, transforms=test_time),
    ]
    data_cfg = dict(workers_per_gpu=0, test_samples_per_gpu=batch_size)
    dataset = build_dataset(config_of_a_test(cfg, data_cfg), dict(test_mode=True))
    metas = [m for batch in build_test_loader(dataset, data_cfg, False) for m in batch['img_metas'][0].data[0]]
    assert [meta['filename'][-5:] for meta in metas] == ['1.png', '2.png', '3.png']
    assert cfg['pipeline'][1]['transforms'] is test_time and test_time[4]['type'] == 'ImageToTensor'


def test_masks_and_semantic_maps_come_with_their_images():
    """Polygons or run lengths, each in the padded frame of its view; maps at stride 8, 255 beyond an image."""
    options = {'data_root': f'{shapes()}/', 'percent': 25, 'train_scale': [(96, 60), (96, 96)]}
    cfg = load_config(str(ROOT / 'configs/_base_/datasets/shapes_stuff_semi.py'), options)
    cfg.data.train.labeled.ann_file = 'annotations/instances_train.json'  # in which some images hide nothing
    data = dict(samples_per_gpu=8, sampler=dict(ratio=(1, 1), by_prob=False))
    kinds, batches = set(), []
    for workers in (0, 2):
        dataset = build_dataset(cfg.data.train)
        pack_annotations(dataset)
        loader = build_train_loader(dataset, dict(data, workers_per_gpu=workers), seed=1)
        batches.append(list(islice(loader, 4)))
    for alone, sent in zip(*batches, strict=True):
        one, other = alone['sup'], sent['sup']
        assert alone.keys() == {'sup', 'unsup_teacher', 'unsup_student'} and 'gt_masks' not in alone['unsup_student']
        height, width = one['img'].data[0].shape[1:3]
        seg, metas = one['gt_semantic_seg'].data[0], one['img_metas'].data[0]
        assert seg.shape == (4, 1, height // 8, width // 8)
        assert torch.equal(seg, other['gt_semantic_seg'].data[0])
        for i, (masks, boxes, meta) in enumerate(
            zip(one['gt_masks'].data[0], one['gt_bboxes'].data[0], metas, strict=True)
        ):
            np.testing.assert_array_equal(masks.to_ndarray(), other['gt_masks'].data[0][i].to_ndarray())
            kinds.add(type(masks).__name__)
            assert len(masks) == len(boxes) > 0 and (masks.height, masks.width) == meta['pad_shape'][:2]
            for mask, box in zip(masks.to_ndarray(), boxes.numpy(), strict=True):
                ys, xs = np.nonzero(mask)
                np.testing.assert_allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], box, atol=3)
            inside = np.zeros((height // 8, width // 8), bool)
            inside[: -(-meta['img_shape'][0] // 8), : -(-meta['img_shape'][1] // 8)] = True
            assert (seg[i, 0].numpy() == 255).tolist() == (~inside).tolist()
            # Where a map says background no mask is.
            covered = masks.to_ndarray().any(axis=0)[::8, ::8]
            label = seg[i, 0, : covered.shape[0], : covered.shape[1]].numpy()
            assert ((label == 0) & covered).mean() < 0.05
    assert kinds == {'PolygonMasks', 'BitmapMasks'}
