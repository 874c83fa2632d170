"""NormalizeOnDevice: what it leaves, what it records, what it leaves to the host."""

import numpy as np
import pytest
import torch
from mmcv.parallel import DataContainer
from mmdet.core import BitmapMasks
from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import DefaultFormatBundle, Normalize, Pad

NORM = dict(mean=[103.53, 116.28, 123.675], std=[57.0, 58.0, 59.0], to_rgb=True)


def sample(h=50, w=70):
    rng = np.random.RandomState(h + w)
    return dict(
        img=rng.randint(0, 256, (h, w, 3)).astype(np.uint8),
        img_fields=['img'],
        gt_bboxes=np.float32([[1, 2, 30, 40]]),
        gt_bboxes_ignore=np.zeros((0, 4), np.float32),
        gt_labels=np.array([3]),
        gt_masks=BitmapMasks(np.ones((1, h, w), np.uint8), h, w),
        gt_semantic_seg=np.ones((h, w), np.uint8),
        mask_fields=['gt_masks'],
        seg_fields=['gt_semantic_seg'],
        scale_factor=np.ones(4, np.float32),
    )


def host(results):
    for op in (Pad(size_divisor=32), Normalize(**NORM), DefaultFormatBundle()):
        results = op(results)
    return results


def test_all_but_the_image_is_as_the_hosts_three_ops_make_it():
    ours = PIPELINES.build(dict(type='NormalizeOnDevice', **NORM, size_divisor=32))(sample())
    theirs = host(sample())
    assert ours.keys() == theirs.keys()
    assert ours['pad_shape'] == theirs['pad_shape'] == (64, 96, 3)
    for key in ('pad_fixed_size', 'pad_size_divisor'):
        assert ours[key] == theirs[key]
    for key in ('mean', 'std', 'to_rgb'):
        np.testing.assert_array_equal(ours['img_norm_cfg'][key], theirs['img_norm_cfg'][key])
    for key in ('gt_bboxes', 'gt_bboxes_ignore', 'gt_labels', 'gt_semantic_seg'):
        assert type(ours[key]) is DataContainer and ours[key].stack == theirs[key].stack
        assert torch.equal(ours[key].data, theirs[key].data)
    np.testing.assert_array_equal(ours['gt_masks'].data.masks, theirs['gt_masks'].data.masks)


def test_the_image_is_handed_on_uncopied():
    results = sample()
    img = results['img']
    img.flags.writeable = False
    out = PIPELINES.build(dict(type='NormalizeOnDevice', **NORM, size_divisor=32))(results)
    assert out['img'].data is img


def test_a_side_that_fits_is_not_padded_and_a_scale_is_always_there():
    op = PIPELINES.build(dict(type='NormalizeOnDevice', **NORM))
    assert op(sample(64, 96))['pad_shape'] == (64, 96, 3)
    assert op(dict(img=np.zeros((5, 7, 3), np.uint8))).items() >= dict(pad_shape=(5, 7, 3), scale_factor=1.0).items()


@pytest.mark.parametrize('img', [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8)])
def test_other_images_are_refused(img):
    with pytest.raises(ValueError, match=r'NormalizeOnDevice wants a \(H, W, 3\) uint8 image, got \(4, 4'):
        PIPELINES.build(dict(type='NormalizeOnDevice', **NORM, size_divisor=32))(dict(img=img))
