"""OHEM: the mean over the kept pixels."""

import pytest
import torch
from mmcv import ConfigDict
from mmseg.models import build_segmentor
from torch.nn import functional as F

from ssod.segmentation.ohem import OHEMCrossEntropy
from ssod.segmentation.trial import tiny_segmentor, view


def case(p, labels=None):
    """Logits (1, 2, 1, n) whose class 0 has the probabilities p."""
    p = torch.tensor(p, dtype=torch.float64)
    logits = torch.stack([p.log(), (1 - p).log()])[None, :, None]
    return logits, torch.zeros(1, 1, len(p), dtype=torch.long) if labels is None else labels


@pytest.mark.parametrize(
    'min_kept, kept', [(0, [0.1, 0.6]), (2, [0.1, 0.6]), (3, [0.1, 0.6, 0.8]), (99, [0.1, 0.6, 0.8, 0.9])]
)
def test_the_hardest_pixels_are_kept_and_all_below_the_threshold(min_kept, kept):
    logits, labels = case([0.9, 0.1, 0.8, 0.6])
    expected = -torch.tensor(kept, dtype=torch.float64).log().mean()
    torch.testing.assert_close(OHEMCrossEntropy(0.7, min_kept)(logits, labels), expected)


def test_ignored_pixels_and_none():
    logits, labels = case([0.1, 0.6, 0.9])
    labels[..., 0] = 255
    loss = OHEMCrossEntropy(0.7, 1, loss_weight=2.0)(logits, labels)
    torch.testing.assert_close(loss, 2 * -torch.tensor(0.6, dtype=torch.float64).log())
    assert OHEMCrossEntropy(min_kept=5)(logits.requires_grad_(), torch.full_like(labels, 255)).item() == 0


def test_with_all_kept_it_is_the_cross_entropy_and_a_head_trains_with_it():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 5, 6), torch.randint(0, 4, (2, 5, 6))
    torch.testing.assert_close(OHEMCrossEntropy(min_kept=10**6)(logits, labels), F.cross_entropy(logits, labels))
    cfg = tiny_segmentor()
    cfg.decode_head.loss_decode = ConfigDict(type='OHEMCrossEntropy', min_kept=100)
    losses = build_segmentor(cfg).forward_train(**view('a', False))
    assert losses['decode.loss_ce'] > 0
    with pytest.raises(ValueError, match='remove sampler'):
        OHEMCrossEntropy()(logits, labels, weight=torch.ones(1))
