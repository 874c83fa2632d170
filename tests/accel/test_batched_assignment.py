"""All images at once, against MMDetection's assigner and sampler image by image."""

import pytest
import torch
from mmdet.core.bbox.assigners import AssignResult, MaxIoUAssigner
from mmdet.core.bbox.samplers import RandomSampler
from torch.testing import assert_close

from ssod.accel.batched_assignment import assign, assigns_at_once, padded, sample, samples_at_once

RPN = dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, ignore_iof_thr=0.5)
ROI = dict(pos_iou_thr=0.5, neg_iou_thr=(0.1, 0.5), min_pos_iou=0.5, match_low_quality=False)


def boxes(*shape):
    """On a coarse lattice, so that many overlaps are equal."""
    corner = torch.randint(0, 8, (*shape, 2)) * 4.0
    return torch.cat([corner, corner + torch.randint(1, 5, (*shape, 2)) * 4.0], dim=-1)


@pytest.mark.parametrize('settings', [RPN, ROI, dict(RPN, ignore_wrt_candidates=False)])
@pytest.mark.parametrize('counts', [(3, 0, 5), (0, 0, 0), (1, 2, 1)])
def test_assigns_as_mmdetection(settings, counts):
    torch.manual_seed(0)
    assigner, candidates = MaxIoUAssigner(**settings), boxes(3, 200)
    assert assigns_at_once(assigner)
    objects, ignored = [boxes(n) for n in counts], [boxes(1), boxes(0), boxes(2)]
    found = assign(assigner, candidates, None, padded(objects), ignored)
    for own, ours, gt, ignore in zip(candidates, found, objects, ignored, strict=True):
        assert_close(ours, assigner.assign(own, gt, ignore).gt_inds)
    if counts == (3, 0, 5):
        assert {-1, 0, 1, 5} <= set(found.flatten().tolist())


def test_boxes_outside_are_out():
    """Nor does an object take the nearest of them."""
    assigner, objects = MaxIoUAssigner(**RPN), [torch.tensor([[0.0, 0, 10, 10]])]
    candidates = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 20], [50, 50, 60, 60]]])
    own = torch.tensor([[False, True, True]])
    assert assign(assigner, candidates, own, padded(objects), None).tolist() == [[-1, 1, 0]]
    assert assign(assigner, candidates, None, padded(objects), None).tolist() == [[1, -1, 0]]


@pytest.mark.parametrize('settings', [dict(num=8, pos_fraction=0.25), dict(num=40, pos_fraction=0.5, neg_pos_ub=2)])
def test_samples_as_many_as_mmdetection(settings):
    torch.manual_seed(0)
    sampler = RandomSampler(**settings, add_gt_as_proposals=False)
    assigned = torch.randint(-1, 2, (4, 30)) * torch.tensor([[1], [0], [1], [1]])
    assigned[2] = assigned[2].clamp(max=0)
    assigned[3] = -1
    found = sample(sampler, assigned)
    for own, index, positive, taken in zip(assigned, *found, strict=True):
        theirs = sampler.sample(AssignResult(1, own, torch.zeros(30)), boxes(30), boxes(1))
        assert (int(positive.sum()), int(taken.sum())) == (
            len(theirs.pos_inds),
            len(theirs.pos_inds) + len(theirs.neg_inds),
        )
        assert (own[index[positive]] > 0).all() and (own[index[taken & ~positive]] == 0).all()
        assert len(set(index[taken].tolist())) == taken.sum()


def test_every_box_is_as_likely_as_with_mmdetection():
    """4 of 10 positives, 8 of 20 negatives: shares of 0.4 over 4000 draws, each within five standard errors."""
    torch.manual_seed(0)
    assigned = torch.tensor([1] * 10 + [0] * 20 + [-1] * 5).expand(4000, -1)
    found = sample(RandomSampler(num=12, pos_fraction=1 / 3, add_gt_as_proposals=False), assigned)
    assert found.taken.all() and (found.positive.sum(dim=1) == 4).all()
    shares = found.index.flatten().bincount(minlength=35) / 4000
    assert_close(shares[:30], torch.full((30,), 0.4), rtol=0, atol=5 * (0.24 / 4000) ** 0.5)
    assert shares[30:].sum() == 0
    # Draws are independent: two given positives come together as often as without replacement, 4 * 3 / (10 * 9).
    both = ((found.index == 0).any(dim=1) & (found.index == 1).any(dim=1)).float().mean()
    assert both == pytest.approx(12 / 90, abs=5 * (0.116 / 4000) ** 0.5)


def test_what_is_not_known_is_left_to_mmdetection():
    class Own(RandomSampler):
        pass

    assert not assigns_at_once(MaxIoUAssigner(**dict(RPN, gt_max_assign_all=False)))
    assert not assigns_at_once(MaxIoUAssigner(**dict(RPN, gpu_assign_thr=10)))
    assert samples_at_once(RandomSampler(num=4, pos_fraction=0.5))
    assert not samples_at_once(RandomSampler(num=4, pos_fraction=0))
    assert not samples_at_once(Own(num=4, pos_fraction=0.5))
