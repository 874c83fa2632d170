"""Masks seen from another view: against masks of whole images that are warped and cut out."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.core import BitmapMasks
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

from ssod.detection import PseudoLabels
from ssod.detection.pseudo_labels import project_boxes
from ssod.detection.pseudo_labels.masks import mask_scores, paste_masks, sample_masks

HW = (400, 500)
EYE = torch.eye(3)


def blobs(n, size=28, seed=0):
    """(n, size, size) probabilities of smooth shapes around the middle."""
    noise = torch.randn(n, 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    waves = torch.nn.functional.interpolate(noise, size=(size, size), mode='bicubic')[:, 0]
    place = (torch.arange(size) + 0.5) / size * 2 - 1
    bump = 2 - 3 * (place[:, None] ** 2 + place**2)
    return torch.sigmoid(4 * (bump + 0.7 * waves))


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def sampled(masks, own, matrix, windows, size=(28, 28)):
    return sample_masks(masks, own, matrix.expand(len(masks), 3, 3), windows, size)


def test_in_the_same_place_a_mask_is_itself():
    masks, own = blobs(3), boxes([10, 20, 90, 70], [0, 0, 33, 41], [100, 50, 400, 390])
    found = sampled(masks, own, EYE, own)
    torch.testing.assert_close(found, masks, rtol=1e-4, atol=1e-4)
    assert torch.equal(found >= 0.5, masks >= 0.5)


def test_a_flip_mirrors_and_a_quarter_turn_turns():
    masks, own = blobs(1), boxes([10, 20, 90, 70])
    flip = torch.tensor([[-1.0, 0, 500], [0, 1, 0], [0, 0, 1]])
    turn = torch.tensor([[0.0, -1, 400], [1, 0, 0], [0, 0, 1]])  # right to down: (x, y) -> (400 - y, x)
    for matrix, expected in ((flip, masks.flip(2)), (turn, masks.rot90(-1, (1, 2)))):
        window = project_boxes(own, matrix, (500, 500))
        torch.testing.assert_close(sampled(masks, own, matrix, window), expected, rtol=1e-3, atol=1e-4)


def test_outside_its_box_a_mask_is_zero():
    masks, own = torch.ones(1, 28, 28), boxes([0, 0, 100, 100])
    found = sampled(masks, own, EYE, boxes([50, 0, 250, 100]), size=(2, 4))  # cells 50 x 50 pixels
    assert found.tolist() == [[[1, 0, 0, 0], [1, 0, 0, 0]]]
    assert sampled(masks, own, EYE, boxes([200, 200, 300, 300])).max() == 0


def rotation(degrees):
    a = np.deg2rad(degrees)
    center = np.array([[1, 0, 250], [0, 1, 200], [0, 0, 1.0]])
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return center @ turn @ np.linalg.inv(center)


VIEWS = {
    'flip and half size': np.array([[-0.5, 0, 250], [0, 0.5, 0], [0, 0, 1]]),
    'turned by 25': rotation(25),
    'turned by -90': rotation(-90),
    'sheared': np.array([[1, 0.4, -60], [0.2, 1, -30], [0, 0, 1]]),
    'shifted': np.array([[1.3, 0, 20], [0, 1.3, -40], [0, 0, 1]]),
    'in perspective': np.array([[1, 0.1, 10], [0, 1.1, -10], [2e-4, 1e-4, 1]]),
}


@pytest.mark.parametrize('view', VIEWS)
def test_targets_are_those_of_pasting_warping_and_cutting_out(view):
    """As the authors make them: maps of whole images, warped, cut out by RoIs."""
    matrix = VIEWS[view]
    own = boxes([100, 60, 260, 220], [150, 90, 420, 300], [30, 100, 180, 290])
    masks = blobs(3, seed=2)
    pasted = _do_paste_mask(masks[:, None], own, *HW, skip_empty=False)[0].numpy() >= 0.5
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # the first pixel's center is at 0 for OpenCV, at 0.5 here
    pixels = np.linalg.inv(half) @ matrix @ half
    warped = [cv2.warpPerspective(mask.astype(np.float32), pixels, HW[::-1]) >= 0.5 for mask in pasted]
    warped = BitmapMasks(np.stack(warped).astype(np.uint8), *HW)
    matrix = torch.from_numpy(matrix).float()
    shift = torch.tensor([[4.0, -3, 6, 5], [-6, 3, -4, 8], [2, 2, -5, -3]])
    windows = (project_boxes(own, matrix, HW) + shift).clamp(min=0).minimum(torch.tensor([500.0, 400, 500, 400]))
    expected = warped.crop_and_resize(windows.numpy(), (28, 28), inds=np.arange(3), device='cpu').to_ndarray() > 0
    found = (sampled(masks, own, matrix, windows) >= 0.5).numpy()
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs.mean() > 0.1
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95


def test_labels_carry_the_way_from_their_masks():
    own = PseudoLabels(boxes([10, 20, 90, 70], [0, 0, 33, 41]), torch.tensor([0, 1]), torch.ones(2))
    masked = own.with_masks(blobs(2))
    first, second = torch.diag(torch.tensor([2.0, 2, 1])), torch.tensor([[1.0, 0, 5], [0, 1, 7], [0, 0, 1]])
    moved = masked.project(first, HW).project(second, HW)[torch.tensor([1])]
    assert moved.bboxes.tolist() == [[5, 7, 71, 89]] and moved.mask_boxes.tolist() == [[0, 0, 33, 41]]
    torch.testing.assert_close(moved.mask_matrices, (second @ first)[None])
    assert own.project(first, HW).mask_matrices is None
    assert masked[torch.zeros(2, dtype=torch.bool)].project(first, HW).masks.shape == (0, 28, 28)


def test_masks_over_their_view():
    masks = torch.zeros(1, 8, 8)
    masks[0, :4, 4:] = 1  # the upper right quarter
    labels = PseudoLabels(boxes([2, 4, 10, 12]), torch.tensor([0]), torch.ones(1)).with_masks(masks)
    seen = paste_masks(labels, (16, 20, 3))
    expected = torch.zeros(16, 20, dtype=torch.bool)
    expected[4:8, 6:10] = True
    assert torch.equal(seen[0], expected)
    flipped = paste_masks(labels.project(torch.tensor([[-1.0, 0, 20], [0, 1, 0], [0, 0, 1]]), (16, 20)), (16, 20))
    assert torch.equal(flipped[0], expected.flip(1))


def test_the_score_of_a_mask_is_the_mean_probability_of_its_pixels():
    masks = torch.tensor([[[0.6, 0.8], [0.5, 0.1]], [[0.5, 0.2], [0, 0]]])
    torch.testing.assert_close(mask_scores(masks), torch.tensor([0.7, 0]))


def test_no_masks_have_no_values():
    none = torch.zeros(0, 28, 28)
    assert sampled(none, boxes(), EYE, boxes()).shape == (0, 28, 28)
    labels = PseudoLabels(boxes(), torch.zeros(0).long(), torch.zeros(0)).with_masks(none)
    assert paste_masks(labels, (5, 6)).shape == (0, 5, 6) and mask_scores(none).shape == (0,)
