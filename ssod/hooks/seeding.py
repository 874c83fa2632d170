"""Randomness as a function of (seed, rank, iteration)."""

import random

import numpy as np
import torch
from mmcv.runner import HOOKS, Hook, get_dist_info


@HOOKS.register_module()
class SeedHook(Hook):
    """Seeds Python's, numpy's and torch's global generators before each iteration.

    A resumed run then draws what the uninterrupted one would have drawn, and ranks draw differently.

    Args:
        seed: the run's seed, the same on every rank.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner) -> None:
        """Seed for this iteration."""
        rank, _ = get_dist_info()
        state = np.random.SeedSequence([self.seed, rank, runner.iter]).generate_state(1)[0]
        random.seed(int(state))
        np.random.seed(state)
        torch.manual_seed(int(state))
