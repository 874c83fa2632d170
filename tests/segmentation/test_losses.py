"""Losses on pseudo labels: the authors' figures, hand-worked pixels, naive loops, and batches that lack a part."""

import math

import pytest
import torch
from segmentation_golden import OFFICIAL, case, check
from torch.nn import functional as F

from ssod.segmentation.losses import cross_pseudo_loss, self_correction_loss

A = 9.21034049987793


def inputs(name):
    logits, labels, noisy = case.self_correction_inputs(name)
    settings = {key: case.SELF_CORRECTION[name][key] for key in ('alpha', 'beta', 'weighted')}
    return logits.requires_grad_(), labels, torch.tensor(noisy), settings


@pytest.mark.parametrize('name', OFFICIAL['self_correction'])
def test_self_correction_has_the_authors_loss_and_gradient(name):
    for kind, mixed in (('intended_image_by_image', False), ('authors_with_ignore_index', True)):
        logits, labels, noisy, settings = inputs(name)
        loss = self_correction_loss(logits, labels, noisy, **settings, mix_images=mixed)
        loss.backward()
        check(loss, OFFICIAL['self_correction'][name][kind]['loss'])
        check(logits.grad, OFFICIAL['self_correction'][name][kind]['grad'])


def naive(logits, labels, noisy, alpha=1.0, beta=1.0, weighted=True, order='code', over='all', sure=0.8):
    """Pixel by pixel, in plain Python numbers."""
    noisy_sum = noisy_count = clean_sum = clean_count = 0.0
    for image, label, is_noisy in zip(logits, labels, noisy, strict=True):
        for row in range(label.shape[0]):
            for column in range(label.shape[1]):
                y, p = int(label[row, column]), image[:, row, column].softmax(0).tolist()
                noisy_count += is_noisy and (over == 'all' or y != 255)
                if y == 255:
                    continue
                if not is_noisy:
                    clean_sum, clean_count = clean_sum - math.log(p[y]), clean_count + 1
                    continue
                w = (1.0 if max(p) > sure else max(p)) if weighted else 0.5
                of_ce, of_rce = (1 - w, w) if order == 'code' else (w, 1 - w)
                noisy_sum += -alpha * of_ce * math.log(p[y]) + beta * of_rce * A * (1 - p[y])
    return noisy_sum / max(noisy_count, 1) + clean_sum / max(clean_count, 1)


@pytest.mark.parametrize('order, sure', [('code', 0.8), ('paper', 1.0)])
@pytest.mark.parametrize('over', ['all', 'valid'])
@pytest.mark.parametrize('weighted', [True, False])
def test_self_correction_is_the_naive_loop(order, sure, over, weighted):
    logits, labels, noisy, _ = inputs('mixed_four')
    settings = dict(alpha=0.7, beta=0.4, weighted=weighted, order=order, over=over)
    expected = naive(logits.detach(), labels, noisy.tolist(), sure=sure, **settings)
    assert self_correction_loss(logits, labels, noisy, **settings).item() == pytest.approx(expected, rel=1e-10)


def test_two_images_mixed_and_not_are_the_figures_of_the_note():
    logits, labels, noisy, _ = inputs('two_noisy')
    assert round(self_correction_loss(logits, labels, noisy, mix_images=True).item(), 4) == 6.2795
    assert round(self_correction_loss(logits, labels, noisy).item(), 4) == 6.1963
    # What the authors' broadcast computes: every image's loss with every image's weight.
    p = logits.softmax(1)
    w = p.amax(1).detach()
    w = torch.where(w > 0.8, 1.0, w)[:, None]
    ce = F.cross_entropy(logits, labels, reduction='none')
    rce = A * (1 - p.gather(1, labels[:, None])[:, 0])
    product = (ce * (1 - w)).mean() + (rce * w).mean()
    assert (ce * w).shape == (2, 2, 6, 7)
    torch.testing.assert_close(self_correction_loss(logits, labels, noisy, mix_images=True), product)


def test_a_mixed_loss_of_ignored_pixels_is_the_broadcast_over_all_pixels():
    logits, labels, noisy, _ = inputs('mixed_four')
    ours = self_correction_loss(logits, labels, noisy, mix_images=True)
    x, y = logits[noisy], labels[noisy]
    p, valid = x.softmax(1), (y != 255).double()
    w = p.amax(1).detach()
    w = torch.where(w > 0.8, 1.0, w)[:, None]
    ce = F.cross_entropy(x, y, reduction='none', ignore_index=255)
    rce = A * (1 - p.gather(1, y.clamp(max=4)[:, None])[:, 0])
    expected = (ce * valid * (1 - w)).mean() + (rce * valid * w).mean()
    torch.testing.assert_close(ours, expected + F.cross_entropy(logits[~noisy], labels[~noisy], ignore_index=255))


def test_one_pixel_by_hand():
    logits, label = torch.tensor([2.0, 0.0]).reshape(1, 2, 1, 1), torch.ones(1, 1, 1, dtype=torch.long)
    p = 1 / (1 + math.exp(2))  # of the label; the other class has 0.88 and more than 0.8
    pseudo = torch.tensor([True])
    assert self_correction_loss(logits, label, pseudo).item() == pytest.approx(A * (1 - p), rel=1e-6)
    own = -(1 - (1 - p)) * math.log(p) + (1 - p) * A * (1 - p)
    assert self_correction_loss(logits, label, pseudo, sure=1.0).item() == pytest.approx(own, rel=1e-6)
    paper = -(1 - p) * math.log(p) + p * A * (1 - p)
    assert self_correction_loss(logits, label, pseudo, order='paper').item() == pytest.approx(paper, rel=1e-6)


@pytest.mark.parametrize('noisy', [[True, True], [False, False], [True, False]])
@pytest.mark.parametrize('ignored', ['none', 'first image', 'all'])
def test_a_part_that_is_missing_or_ignored_adds_nothing_and_gives_no_nan(noisy, ignored):
    logits, labels = case.logits(1, 2).requires_grad_(), case.labels(2, 2)
    labels[: dict(none=0, all=2).get(ignored, 1)] = 255
    loss = self_correction_loss(logits, labels, torch.tensor(noisy))
    loss.backward()
    assert loss.item() == pytest.approx(naive(logits.detach(), labels, noisy), rel=1e-10, abs=1e-12)
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[labels[:, None].expand_as(logits) == 255].any()


def test_an_empty_batch_is_zero():
    logits, labels = torch.zeros(0, 5, 6, 7, requires_grad=True), torch.zeros(0, 6, 7, dtype=torch.long)
    loss = self_correction_loss(logits, labels, torch.zeros(0, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert cross_pseudo_loss(logits, logits).item() == 0


def test_what_does_not_fit_is_said():
    logits, labels, noisy, _ = inputs('two_noisy')
    with pytest.raises(ValueError, match=r'wants logits \(N, C, H, W\).*\(2,\)'):
        self_correction_loss(logits, labels[:, None], noisy)
    with pytest.raises(ValueError, match='order must be one of'):
        self_correction_loss(logits, labels, noisy, order='article')
    with pytest.raises(ValueError, match='mix_images'):
        self_correction_loss(logits, labels, noisy, mix_images=True, over='valid')
    with pytest.raises(ValueError, match='cross_pseudo_loss'):
        cross_pseudo_loss(logits, logits[:1])


def test_cross_pseudo_supervision_has_the_authors_losses_and_gradients():
    golden, values = OFFICIAL['cps'], case.cps_inputs()
    gts = values.pop('gts')
    for value in values.values():
        value.requires_grad_()
    left, right = (torch.cat([values[f'pred_sup_{side}'], values[f'pred_unsup_{side}']]) for side in 'lr')
    cps = golden['cps_weight'] * cross_pseudo_loss(left, right)
    supervised = [F.cross_entropy(values[f'pred_sup_{side}'], gts, ignore_index=255) for side in 'lr']
    total = sum(supervised) + cps
    total.backward()
    check(cps, golden['cps_loss'])
    check(total, golden['loss'])
    for name, value in values.items():
        check(value.grad, golden['grads'][name])
