"""Focal losses: cross-entropy that counts what is already right little (Lin et al., 2017).

Everything is computed in float32 at least and written into tensors that the caller gives. ``weight`` has a factor per
class, (C,), or no element: then all count 1.
"""

import torch
from torch import Tensor

from .dtypes import to_full_precision

TINY = torch.finfo(torch.float32).tiny  # keeps logarithms finite


def _of_target(weight: Tensor, target: Tensor) -> Tensor:
    """Each row's factor, (N,); 1 for the background, whose label is the number of classes."""
    return torch.cat([weight, weight.new_ones(1)])[target] if weight.numel() else weight.new_ones(len(target))


def _positive(input: Tensor, target: Tensor) -> Tensor:
    """Where row and column are a row's own class, (N, C)."""
    return target[:, None] == torch.arange(input.shape[1], device=input.device)


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Loss of each row and class.

    Args:
        input: logits (N, C).
        target: labels (N,), int64, from 0 to C; C is the background.
        weight: (C,) or empty.
        output: output, (N, C).
        gamma: power of 1 - p.
        alpha: factor of positives; negatives have 1 - alpha.
    """
    p = to_full_precision(input).sigmoid()
    positive = -alpha * (1 - p) ** gamma * p.clamp(min=TINY).log()
    negative = -(1 - alpha) * p**gamma * (1 - p).clamp(min=TINY).log()
    loss = torch.where(_positive(input, target), positive, negative)
    output.copy_(loss * _of_target(weight, target)[:, None])


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Gradient of ``sigmoid_focal_loss_forward`` for the logits, written into ``grad_input`` (N, C)."""
    p = to_full_precision(input).sigmoid()
    positive = -alpha * (1 - p) ** gamma * (1 - p - gamma * p * p.clamp(min=TINY).log())
    negative = -(1 - alpha) * p**gamma * (gamma * (1 - p) * (1 - p).clamp(min=TINY).log() - p)
    grad = torch.where(_positive(input, target), positive, negative)
    grad_input.copy_(grad * _of_target(weight, target)[:, None])


def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Loss of each row.

    Args:
        input: probabilities (N, C).
        target: labels (N,), int64, from 0 to C - 1; rows whose label is negative count 0.
        weight: (C,) or empty.
        output: output, (N,).
        gamma: power of 1 - p.
        alpha: factor of the loss.
    """
    label = target.clamp(min=0)
    p = to_full_precision(input).gather(1, label[:, None])[:, 0]
    loss = -alpha * (1 - p) ** gamma * p.clamp(min=TINY).log()
    output.copy_(loss * (target >= 0) * _of_target(weight, label))


def softmax_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Gradient of ``softmax_focal_loss_forward`` for the logits, written into ``grad_input`` (N, C)."""
    label = target.clamp(min=0)
    probabilities = to_full_precision(input)
    p = probabilities.gather(1, label[:, None])[:, 0]
    factor = alpha * (gamma * (1 - p) ** (gamma - 1) * p * p.clamp(min=TINY).log() - (1 - p) ** gamma)
    factor = factor * (target >= 0) * _of_target(weight, label)
    grad_input.copy_(factor[:, None] * (_positive(input, target).to(factor.dtype) - probabilities))
