"""Two groups of scores told apart: a mixture of two Gaussians, for all classes at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

ROUNDS = 100  # of expectation and maximization, at most
LEAST_VARIANCE = 1e-6


class Mixture(NamedTuple):
    """Two Gaussians of each of C classes, the lower first: (C, 2) each."""

    means: Tensor
    variances: Tensor
    weights: Tensor

    def log_density(self, values: Tensor) -> Tensor:
        """(C, n, 2): logarithm of weight times density of values (C, n)."""
        distance = (values[..., None] - self.means[:, None]).square() / self.variances[:, None]
        return (self.weights.log() - 0.5 * (2 * math.pi * self.variances).log())[:, None] - 0.5 * distance


def upper_threshold(scores: Tensor, fallback: float, settled: bool = False) -> Tensor:
    """The score of highest likelihood in the upper of two groups.

    Args:
        scores: (C, n) of C classes in [0, 1]; negative where there is none.
        fallback: for a class with fewer than four scores, or without an upper group.
        settled: fit until nothing moves, and take one group for one; else as Consistent-Teacher's code does, see
            :func:`fit`.

    Returns:
        (C,) float32.
    """
    known, values = scores >= 0, scores.double().clamp(min=0)
    mixture = fit(values, known, settled)
    density = mixture.log_density(values)
    in_upper = known & (density[..., 1] > density[..., 0])
    likelihood = density.logsumexp(dim=-1).masked_fill(~in_upper, -math.inf)
    best = values.gather(1, likelihood.argmax(dim=1, keepdim=True)).squeeze(1)
    two = (known.sum(dim=1) >= 4) & in_upper.any(dim=1)
    if settled:
        two &= more_than_one(values, known, density.logsumexp(dim=-1))
    return torch.where(two, best, fallback).float()


def more_than_one(values: Tensor, known: Tensor, likelihood: Tensor) -> Tensor:
    """(C,) bool: two Gaussians say more of the values than one, by the Bayesian information criterion.

    Args:
        values, known: (C, n), see :func:`fit`.
        likelihood: (C, n), its logarithm under the two.
    """
    count = known.sum(dim=1).clamp(min=1)
    mean = (values * known).sum(dim=1) / count
    variance = ((values - mean[:, None]).square() * known).sum(dim=1) / count + LEAST_VARIANCE
    of_one = -0.5 * ((2 * math.pi * variance).log() + 1) * count
    return 2 * ((likelihood * known).sum(dim=1) - of_one) > 3 * count.log()  # for three more parameters


def fit(values: Tensor, known: Tensor, settled: bool) -> Mixture:
    """Fit two Gaussians to each row, from its least and its greatest value on.

    Consistent-Teacher's code begins with a variance of 1, far wider than scores are, and ends when the mean logarithm
    of the likelihood grows by less than 0.001: in most cases after three rounds, with two broad Gaussians around the
    mean of the scores. ``settled`` begins with a quarter of the range and ends when it grows by less than 1e-6.

    Args:
        values: (C, n) float64.
        known: (C, n) bool: which of them count.
        settled: see above.
    """
    low = values.masked_fill(~known, math.inf).amin(dim=1).nan_to_num(posinf=0)
    high = values.masked_fill(~known, -math.inf).amax(dim=1).nan_to_num(neginf=0)
    means = torch.stack([low, high], dim=1)
    start = ((high - low) / 4).square() + LEAST_VARIANCE if settled else torch.ones_like(low)
    mixture = Mixture(means, start[:, None].repeat(1, 2), torch.full_like(means, 0.5))
    count, before = known.sum(dim=1).clamp(min=1), torch.full_like(low, -math.inf)
    moving = torch.ones_like(low, dtype=torch.bool)
    for _ in range(ROUNDS):
        density = mixture.log_density(values)
        likelihood = (density.logsumexp(dim=-1) * known).sum(dim=1) / count
        new = maximized(values, density.softmax(dim=-1) * known[..., None], count)
        mixture = Mixture(*(torch.where(moving[:, None], *pair) for pair in zip(new, mixture, strict=True)))
        moving &= (likelihood - before).abs() >= (1e-6 if settled else 1e-3)
        before = likelihood
        if not moving.any():
            break
    return mixture


def maximized(values: Tensor, shares: Tensor, count: Tensor) -> Mixture:
    """The Gaussians of values (C, n) that belong to each by shares (C, n, 2); ``count`` (C,) of the values."""
    total = shares.sum(dim=1) + 1e-12
    means = (shares * values[..., None]).sum(dim=1) / total
    squares = (values[..., None] - means[:, None]).square()
    return Mixture(means, (shares * squares).sum(dim=1) / total + LEAST_VARIANCE, total / count[:, None])
