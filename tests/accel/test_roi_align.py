"""Values worked by hand, and torchvision's."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import roi_align

from ssod.accel.roi_align import multilevel_roi_align


def pool(feats, rois, output_size=(2, 2), sampling_ratio=0):
    """On one level with a stride of 1."""
    levels = torch.zeros(len(rois), dtype=torch.long)
    return multilevel_roi_align((feats,), rois, levels, [1.0], output_size, sampling_ratio)


def test_values_by_hand():
    """A feature of x + 10 y at the middle of each cell, so x - 0.5 + 10 (y - 0.5) at a point (x, y) of the image."""
    x, y = torch.arange(8.0), torch.arange(6.0)
    feats = (x + 10 * y[:, None])[None, None]
    rois = torch.tensor([[0, 1.0, 1, 5, 3]])
    # Bins of 2 x 1 pixels, with centers (2, 1.5) (4, 1.5) (2, 2.5) (4, 2.5).
    assert_close(pool(feats, rois), torch.tensor([[[[11.5, 13.5], [21.5, 23.5]]]]))
    assert_close(pool(feats, rois, output_size=(1, 1)), torch.tensor([[[[17.5]]]]))


def test_beyond_the_edge():
    """Up to a cell outside the outermost value holds; farther out a sample is 0."""
    feats = torch.full((1, 1, 4, 4), 8.0)
    # One sample a bin, at x = -1, 1, 3, 5 and 7, or in cells -1.5, 0.5, 2.5, 4.5 and 6.5; the map ends at 4.
    rois = torch.tensor([[0, -2.0, 1, 8, 2]])
    assert pool(feats, rois, output_size=(1, 5), sampling_ratio=1).flatten().tolist() == [0, 8, 8, 0, 0]


@pytest.mark.parametrize('output_size, sampling_ratio', [((7, 7), 0), ((3, 5), 0), ((3, 5), -1), ((2, 2), 2)])
def test_equals_torchvision(output_size, sampling_ratio):
    torch.manual_seed(0)
    feats = torch.randn(3, 4, 20, 30, dtype=torch.double, requires_grad=True)
    corners = torch.rand(200, 2, dtype=torch.double) * torch.tensor([40.0, 30]) - 5
    sides = torch.rand(200, 2, dtype=torch.double) ** 2 * 40
    rois = torch.cat([torch.randint(3, (200, 1)), corners, corners + sides], dim=1)
    rois[1:4, 3:] = rois[1:4, 1:3]  # without area
    rois[0, 3:] = rois[0, 1:3] - 3  # inside out
    ours = pool(feats, rois, output_size, sampling_ratio)
    theirs = roi_align(feats, rois, output_size, 1.0, sampling_ratio, aligned=True)
    weights = torch.randn_like(ours)
    assert_close(ours[1:], theirs[1:])
    assert (ours[0] == 0).all() and (ours[1:] != 0).any(dim=(1, 2, 3)).sum() > 100
    ours, theirs = (torch.autograd.grad((out[1:] * weights[1:]).sum(), feats)[0] for out in (ours, theirs))
    assert_close(ours, theirs)


def test_each_roi_from_its_level():
    feats = tuple(torch.full((1, 2, 32 // 2**level, 32 // 2**level), float(level)) for level in range(3))
    levels = torch.tensor([2, 0, 1, 1])
    rois = torch.tensor([[0.0, 4, 4, 20, 20]]).repeat(4, 1)
    out = multilevel_roi_align(feats, rois, levels, [1.0, 0.5, 0.25], (2, 2))
    assert out.shape == (4, 2, 2, 2)
    assert_close(out, levels.view(-1, 1, 1, 1).expand(4, 2, 2, 2).float())


def test_coordinates_that_are_no_numbers():
    """Training has gone wrong; it should say so by its loss."""
    assert (pool(torch.ones(1, 1, 4, 4), torch.tensor([[0, float('nan'), 0, 2, 2]])) == 0).all()
