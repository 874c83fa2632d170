"""Losses on pseudo-labeled pixels. What a mean runs over is in its name: all pixels, or the valid ones.

Shapes: logits (N, C, H, W), labels (N, H, W) int64. A pixel is valid if its label is not ``ignore_index``.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ssod.core.settings import check_choice

# -log of the least probability that a one-hot label is given, 1e-4; the authors take the logarithm in float32.
REVERSE_CONSTANT = 9.21034049987793


def self_correction_loss(
    logits: Tensor,
    labels: Tensor,
    pseudo: Tensor,
    alpha: float = 1.0,
    beta: float = 1.0,
    weighted: bool = True,
    order: str = 'code',
    mix_images: bool = False,
    ignore_index: int = 255,
    over: str = 'all',
    sure: float | None = None,
) -> Tensor:
    """The loss of Simple Baseline (Yuan et al., ICCV 2021): self-correction of pseudo labels, plus cross entropy.

    Of a pixel with a pseudo label y, p the softmax of its logits and w the highest of p, without gradient::

        CE = -log p_y        RCE = 9.21 (1 - p_y)        alpha (1 - w) CE + beta w RCE

    Where the network is sure, the label is doubted (RCE is an absolute error); where it is not, the label teaches. The
    mean over the pseudo-labeled images' pixels is added to the mean cross entropy over the valid pixels of the others.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W) int64.
        pseudo: (N,) bool, the images with pseudo labels; all or none may have them.
        alpha, beta: weights of CE and of RCE.
        weighted: False: w = 0.5 everywhere.
        order: 'code': as above (the authors' code); 'paper': CE has the weight w and RCE 1 - w.
        mix_images: as the authors' code does with two pseudo-labeled images or more, the mean of w over these images
            weighs the mean loss over them: to reproduce it, not to train with.
        ignore_index: label of the pixels that count in no loss.
        over: the mean of the pseudo-labeled images is over 'all' pixels (the authors' code; ignored ones are 0) or the
            'valid' ones.
        sure: a higher w becomes 1; None: 0.8 for 'code', 1 (never) for 'paper'.

    Returns:
        A scalar, 0 without a valid pixel.

    Raises:
        ValueError: shapes that do not fit, an unknown ``order`` or ``over``, or ``mix_images`` over valid pixels.

    Examples:
        >>> logits, labels = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long)
        >>> self_correction_loss(logits, labels, torch.tensor([True])).item()  # (log 2 + 9.21 / 2) / 2
        2.649158477783203
    """
    check_choice('order', order, ('code', 'paper'))
    check_choice('over', over, ('all', 'valid'))
    if mix_images and over == 'valid':
        raise ValueError("mix_images repeats the authors' mean over all pixels: leave over='all'")
    pseudo = torch.as_tensor(pseudo, dtype=torch.bool, device=logits.device)
    if logits.ndim != 4 or labels.shape != (len(logits), *logits.shape[2:]) or pseudo.shape != (len(logits),):
        raise ValueError(
            'self_correction_loss wants logits (N, C, H, W), labels (N, H, W) and pseudo (N,), got '
            f'{tuple(logits.shape)}, {tuple(labels.shape)} and {tuple(pseudo.shape)}'
        )
    loss = cross_entropy_over_valid(logits[~pseudo], labels[~pseudo], ignore_index)
    ce, rce, valid = corrected_terms(logits[pseudo], labels[pseudo], ignore_index)
    weights = confidence(logits[pseudo], sure or (0.8 if order == 'code' else 1.0)) if weighted else ce.new_tensor(0.5)
    of_ce, of_rce = (1 - weights, weights) if order == 'code' else (weights, 1 - weights)
    if mix_images and weighted and len(ce) > 1:
        ce, rce, of_ce, of_rce = (term.mean(dim=0) for term in (ce, rce, of_ce, of_rce))
    corrected = alpha * ce * of_ce + beta * rce * of_rce
    pixels = valid.sum() if over == 'valid' else valid.numel() // (len(valid) if corrected.ndim == 2 else 1)
    return loss + corrected.sum() / max(pixels, 1)


def corrected_terms(logits: Tensor, labels: Tensor, ignore_index: int = 255) -> tuple[Tensor, Tensor, Tensor]:
    """Cross entropy and reverse cross entropy of each pixel, 0 where it is ignored; and which pixels are valid.

    Returns:
        Three tensors (N, H, W).
    """
    valid = labels != ignore_index
    target = labels.masked_fill(~valid, 0)[:, None]
    log_p = logits.log_softmax(dim=1)
    ce = -log_p.gather(1, target)[:, 0]
    rce = REVERSE_CONSTANT * log_p.exp().scatter(1, target, 0.0).sum(dim=1)
    return ce * valid, rce * valid, valid


def confidence(logits: Tensor, sure: float = 1.0) -> Tensor:
    """(N, H, W) highest class probability, without gradient; above ``sure`` it is 1."""
    highest = logits.detach().softmax(dim=1).amax(dim=1)
    return highest.masked_fill(highest > sure, 1.0)


def cross_entropy_over_valid(logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
    """Mean cross entropy over the valid pixels; 0, with a gradient of 0, where there is none."""
    total = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction='sum') if len(logits) else logits.sum()
    return total / (labels != ignore_index).sum().clamp(min=1)


def cross_pseudo_loss(logits_1: Tensor, logits_2: Tensor) -> Tensor:
    """Each network learns the other's hard labels: CE(1, argmax 2) + CE(2, argmax 1), means over all pixels.

    Cross Pseudo Supervision (Chen et al., CVPR 2021), equation 3: no threshold, and no gradient through the labels.

    Args:
        logits_1, logits_2: (N, C, H, W) of two networks on the same images; N may be 0.

    Raises:
        ValueError: shapes that differ.

    Examples:
        >>> logits = torch.tensor([0.0, 0.0]).reshape(1, 2, 1, 1)
        >>> cross_pseudo_loss(logits, logits).item()  # 2 log 2
        1.3862943649291992
    """
    if logits_1.shape != logits_2.shape:
        raise ValueError(f'cross_pseudo_loss: the logits are {tuple(logits_1.shape)} and {tuple(logits_2.shape)}')
    if logits_1.numel() == 0:
        return logits_1.sum() + logits_2.sum()
    return F.cross_entropy(logits_1, logits_2.argmax(dim=1)) + F.cross_entropy(logits_2, logits_1.argmax(dim=1))
