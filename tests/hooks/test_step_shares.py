"""A step of several iterations against one of all their images: which losses are equal, and how far the rest is."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssod.data import MultiSourceSampler
from ssod.hooks import MeanTeacherHook, ReleasingOptimizerHook, StepSharesHook

# Every image gives the same number of samples to each loss: all anchors, 30 proposals, no box among them.
EVEN = dict(background_weight=None, reg_filter=dict(type='ScoreFilter', thr=0.5), unsup_weight=2.0)


@pytest.fixture
def even_model(make_model, detector_cfg):
    """``even_model(**semi_train_cfg)``: a Soft Teacher that samples the same number of RoIs on every image."""

    def make(**settings):
        detector_cfg.train_cfg.rcnn.sampler.add_gt_as_proposals = False
        detector_cfg.train_cfg.rpn_proposal.nms.iou_threshold = 0.99
        # An image without a positive counts one sample more in MMDetection's RPN.
        detector_cfg.train_cfg.rpn.assigner.min_pos_iou = 0.0
        return make_model(detector_cfg, **{**EVEN, **settings})

    return make


@pytest.fixture
def images(make_view):
    """``images(labeled, unlabeled)``: a batch of images by their names; a missing source is left out."""

    def make(labeled, unlabeled):
        batch = {}
        if labeled:
            batch['sup'] = make_view(labeled)
            boxes = torch.tensor([[10.0, 10, 60, 70], [50, 40, 120, 90]])
            batch['sup'].update(gt_bboxes=[boxes] * len(labeled), gt_labels=[torch.tensor([0, 2])] * len(labeled))
        if unlabeled:
            batch.update(unsup_teacher=make_view(unlabeled), unsup_student=make_view(unlabeled))
        return batch

    return make


def gradients(model, batches, shares):
    """Gradient of the mean over ``batches`` of their losses, each with its (sup_share, unsup_share)."""
    model.zero_grad()
    for batch, (model.sup_share, model.unsup_share) in zip(batches, shares, strict=True):
        (model.train_step(batch)['loss'] / len(batches)).backward()
    return torch.cat([p.grad.flatten() for p in model.student.parameters() if p.grad is not None])


def distance(model, parts, images):
    """Relative distance of the gradient of several batches from that of one batch of the same images."""
    counts = np.array([[len(names) for names in part] for part in parts])
    shares = counts * len(parts) / counts.sum(axis=0)
    whole = gradients(model, [images(*(''.join(names) for names in zip(*parts, strict=True)))], [(1, 1)])
    split = gradients(model, [images(*part) for part in parts], shares)
    return ((split - whole).norm() / whole.norm()).item()


@pytest.mark.parametrize(
    'parts',
    [
        [('s', 'u'), ('t', 'v'), ('p', 'w'), ('q', 'x')],
        [('st', 'u'), ('p', 'vwx')],
        [('s', ''), ('', 'u'), ('', 'v'), ('t', 'w')],
    ],
    ids=['four quarters', 'uneven sources', 'a source at a time'],
)
def test_the_step_is_that_of_one_batch(even_model, images, parts):
    model = even_model()
    assert model(**images('st', 'uvwx'))['num_pseudo_cls'] > 0.5
    assert distance(model, parts, images) < 2e-6


def test_without_shares_uneven_batches_are_another_step(even_model, images):
    model, parts = even_model(), [('st', 'u'), ('p', 'vwx')]
    whole = gradients(model, [images('stp', 'uvwx')], [(1, 1)])
    split = gradients(model, [images(*part) for part in parts], [(1, 1)] * 2)
    assert (split - whole).norm() / whole.norm() > 0.02


@pytest.mark.parametrize(
    'settings',
    [dict(background_weight=dict(type='TeacherBackgroundScore')), dict(reg_avg_factor='positives')],
    ids=lambda settings: next(iter(settings)),
)
def test_losses_over_another_number_an_image_are_near(even_model, images, settings):
    """Their divisor is known when all images have been seen: the mean of the quotients is not the quotient."""
    found = distance(even_model(**settings), [('s', 'u'), ('t', 'v'), ('p', 'w'), ('q', 'x')], images)
    assert 1e-5 < found < 0.2


def test_the_hook_counts_the_images_of_the_step(fake_runner):
    sampler = MultiSourceSampler([np.zeros(9), np.zeros(30)], batch_size=3, ratio=(1, 2), seed=3)
    counts = np.array([[sum(key.index < 9 for key in keys), sum(key.index >= 9 for key in keys)]
                       for keys, _ in zip(sampler, range(10), strict=False)])  # fmt: skip
    assert (sampler.counts(0, 10) == counts).all() and len({tuple(row) for row in counts}) > 1
    hook, model = StepSharesHook(sampler, 4), SimpleNamespace()
    hook.before_run(fake_runner(model))
    seen = []
    for iteration in range(10):
        hook.before_train_iter(fake_runner(model, iter=iteration, max_iters=10))
        seen.append((model.sup_share, model.unsup_share))
    for first, end in ((0, 4), (4, 8), (8, 10)):
        expected = counts[first:end] * (end - first) / counts[first:end].sum(axis=0)
        assert np.allclose(seen[first:end], expected) and np.allclose(np.mean(seen[first:end], axis=0), 1)


def test_counts_cross_the_blocks_that_the_plan_is_made_in():
    sampler = MultiSourceSampler([np.zeros(9), np.zeros(30)], batch_size=3, ratio=(1, 2), world_size=2, rank=1)
    whole = sampler.counts(0, 1030)
    assert (sampler.counts(510, 515) == whole[510:515]).all() and (sampler.counts(1024, 1026) == whole[1024:1026]).all()
    assert (whole.sum(axis=1) == 3).all()


def test_a_step_without_a_source_gives_it_nothing(fake_runner):
    sampler = SimpleNamespace(counts=lambda first, end: np.array([[0, 2], [0, 1]]))
    hook, model = StepSharesHook(sampler, 2), SimpleNamespace()
    hook.before_run(fake_runner(model))
    hook.before_train_iter(fake_runner(model, max_iters=2))
    assert (model.sup_share, model.unsup_share) == (0, pytest.approx(4 / 3))


def test_resumed_within_a_step_the_rest_is_the_step(fake_runner):
    sampler = MultiSourceSampler([np.zeros(9), np.zeros(30)], batch_size=3, ratio=(1, 2))
    hook, model = StepSharesHook(sampler, 4), SimpleNamespace()
    hook.before_run(fake_runner(model, iter=3))
    hook.before_train_iter(fake_runner(model, iter=3))
    assert (model.sup_share, model.unsup_share) == (1, 1)


def test_the_teacher_follows_once_a_step(make_model, fake_runner):
    model, hook, momentum = make_model(), MeanTeacherHook(), []
    for iteration in range(9):
        runner = fake_runner(model, iter=iteration, hooks=[ReleasingOptimizerHook(cumulative_iters=4)])
        hook.before_train_iter(runner)
        momentum.append(runner.log_buffer.val_history.get('ema_momentum'))
    assert momentum == [[0.0], None, None, None, [0.5], None, None, None, [pytest.approx(2 / 3)]]
