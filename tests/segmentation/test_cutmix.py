"""CutMix: the authors' masks, their coverage, boxes inside, images and labels mixed alike."""

import numpy as np
import torch
from segmentation_golden import OFFICIAL, case

from ssod.segmentation.cutmix import box_masks, mixed, one_box_masks, partners


def test_box_masks_are_the_authors_draw_by_draw():
    golden = OFFICIAL['cutmix_masks']
    found = box_masks(2, (12, 16), tuple(golden['prop_range']), golden['n_boxes'], np.random.RandomState(0))
    np.testing.assert_array_equal(found[:, 0], np.array(golden['masks']).reshape(2, 12, 16))
    coverage = golden['coverage_400_masks_128']
    np.random.seed(0)
    shares = box_masks(400, (128, 128)).mean(axis=(1, 2, 3))
    assert abs(shares.mean() - coverage['mean']) < 0.01 and abs(shares.std() - coverage['std']) < 0.01


def test_one_box_is_inside_and_there_half_of_the_time():
    np.random.seed(0)
    masks = one_box_masks(2000, (40, 60))[:, 0]
    shares = masks.mean(axis=(1, 2))
    there = shares > 0
    assert abs(there.mean() - 0.5) < 0.04
    assert 0.015 < shares[there].min() and shares[there].max() <= 0.4
    for mask in masks[there][:50]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns)
    assert not one_box_masks(5, (40, 60), prob=0).any() and one_box_masks(5, (40, 60), prob=1).any(axis=(1, 2, 3)).all()


def test_images_and_labels_are_mixed_alike():
    values = case.cutmix_inputs()
    first, second, masks = values['unsup_imgs_0'], values['unsup_imgs_1'], values['batch_mix_masks']
    torch.testing.assert_close(mixed(first, second, masks), first * (1 - masks) + second * masks)
    one, two = values['logits_u0_tea_1'].argmax(1), values['logits_u1_tea_1'].argmax(1)
    expected = one * (1 - masks[:, 0]) + two * masks[:, 0]
    assert torch.equal(mixed(one, two, masks).double(), expected)
    assert partners(torch.arange(3)).tolist() == [1, 2, 0] and partners(torch.arange(1)).tolist() == [0]
