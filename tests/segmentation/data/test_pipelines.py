"""Ops in MMSegmentation's registry: views of the same pixels, label maps padded with 255, strong colors."""

import random

import numpy as np
import pytest
import torch
from mmseg.datasets.pipelines import Compose

from ssod.core.errors import InputError
from ssod.data import collate_branches, collate_views
from ssod.data.preprocessing import normalized
from ssod.segmentation.data import JitterGrayBlur, StrongColors
from ssod.segmentation.strong_ops import OPS

NORM = dict(type='NormalizeOnDevice', mean=[1.0, 2.0, 3.0], std=[2.0, 2.0, 2.0], to_rgb=True)
META = ('filename', 'img_shape', 'pad_shape', 'img_norm_cfg')
WITH_LABELS = dict(type='Collect', keys=['img', 'gt_semantic_seg'], meta_keys=META)
ALONE = dict(type='Collect', keys=['img'], meta_keys=META)


def results(height, width, name='a'):
    rng = np.random.default_rng(height)
    img = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    labels = (img.astype(int).sum(axis=2) % 5).astype(np.uint8)
    sample = dict(img=img, gt_semantic_seg=labels, img_shape=img.shape, ori_shape=img.shape, pad_shape=img.shape)
    return dict(sample, seg_fields=['gt_semantic_seg'], img_fields=['img'], filename=name, ori_filename=name)


def test_label_maps_are_padded_with_255_in_their_view_and_in_their_batch():
    view = Compose([dict(NORM, size_divisor=4), WITH_LABELS])
    samples = [results(6, 10), results(8, 5)]
    batch = collate_views([view(dict(sample)) for sample in samples])
    labels = batch['gt_semantic_seg'].data[0]
    assert labels.shape == (2, 1, 8, 12) and labels.dtype == torch.int64
    for label, sample in zip(labels[:, 0], samples, strict=True):
        h, w = sample['img'].shape[:2]
        assert np.array_equal(label[:h, :w], sample['gt_semantic_seg'])
        assert (label[h:] == 255).all() and (label[:, w:] == 255).all()
    metas = batch['img_metas'].data[0]
    images = normalized(dict(img=batch['img'].data[0], img_metas=metas))['img']
    assert images.shape == (2, 3, 8, 12)
    assert np.allclose(images[0, :, 2, 3], (samples[0]['img'][2, 3, ::-1] - np.array([1.0, 2, 3])) / 2)


def test_mmsegs_own_formatting_is_padded_with_255_in_a_batch_too():
    own = [dict(type='Normalize', mean=[0.0] * 3, std=[1.0] * 3), dict(type='DefaultFormatBundle'), WITH_LABELS]
    batch = collate_views([Compose(own)(results(6, 10)), Compose(own)(results(8, 5))])
    labels = batch['gt_semantic_seg'].data[0]
    assert (labels[0, 0, 6:] == 255).all() and (labels[1, 0, :, 5:] == 255).all()
    assert not (labels[0, 0, :6] == 255).any() and not (labels[1, 0, :, :5] == 255).any()


def test_views_of_an_image_show_the_same_pixels():
    geometry = [dict(type='RandomCrop', crop_size=(8, 8)), dict(type='RandomFlip', prob=0.5)]
    views = dict(type='MultiBranch', unsup_teacher=[NORM, ALONE], unsup_student=[NORM, WITH_LABELS])
    pipeline = Compose([*geometry, views])
    for seed in range(5):
        np.random.seed(seed)
        sample = pipeline(results(20, 30))
        weak, strong = sample['unsup_teacher']['img'].data, sample['unsup_student']['img'].data
        assert weak.shape == (8, 8, 3) and np.array_equal(weak, strong)
        labels = weak.astype(int).sum(axis=2) % 5
        assert np.array_equal(sample['unsup_student']['gt_semantic_seg'].data[0], labels)
    batch = collate_branches([sample, sample])
    assert set(batch) == {'unsup_teacher', 'unsup_student'}


def test_what_moves_pixels_in_one_of_two_views_is_refused():
    moving = [dict(type='RandomFlip', prob=0.5), NORM, ALONE]
    with pytest.raises(InputError, match='RandomFlip in the branch unsup_student moves pixels'):
        Compose([dict(type='MultiBranch', unsup_teacher=[NORM, ALONE], unsup_student=moving)])
    Compose([dict(type='MultiBranch', sup=moving)])  # alone it may


def test_strong_colors_draws_three_of_17_in_the_tables_order():
    op, order, counts = StrongColors(), list(OPS), dict.fromkeys(OPS, 0)
    random.seed(0)
    for _ in range(3000):
        names = op.draw({})['names']
        assert len(set(names)) == 3 and names == sorted(names, key=order.index)
        for name in names:
            counts[name] += 1
    assert all(abs(count / 3000 - 3 / 17) < 0.03 for count in counts.values())
    assert [StrongColors(prob=0).draw({})['names'] for _ in range(50)] == [[]] * 50
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    found = op.apply(dict(img=image), names=['brightness', 'invert_channel'])['img']
    assert np.array_equal(found, OPS['invert_channel'](OPS['brightness'](image)))


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (dict(ops=['blurr']), "no operation 'blurr'"),
        (dict(num=3, ops=['blur']), 'num=3 of 1 operations'),
        (dict(magnitude=40), 'from 0 to 39'),
        (dict(prob=2), r'prob is in \[0, 1\]'),
    ],
)
def test_settings_of_strong_colors_that_do_not_fit_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        StrongColors(**settings)


def test_jitter_gray_blur_applies_what_it_drew():
    image = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    op = JitterGrayBlur()
    assert np.array_equal(op.apply(dict(img=image), jitter=None, gray=False, sigma=None)['img'], image)
    gray = op.apply(dict(img=image), jitter=None, gray=True, sigma=None)['img']
    assert np.array_equal(gray[..., 0], gray[..., 1])
    weights = image[..., ::-1] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray[..., 0] - weights).max() <= 1
    assert op.apply(dict(img=image), jitter=None, gray=False, sigma=2.0)['img'].std() < image.std() / 2
    np.random.seed(0)
    drawn = [op.draw({}) for _ in range(2000)]
    rates = [np.mean([d[k] is not None and d[k] is not False for d in drawn]) for k in ('jitter', 'gray', 'sigma')]
    assert np.allclose(rates, (0.8, 0.2, 0.5), atol=0.04)
