"""What is drawn in an iteration is a function of (seed, rank, iteration)."""

import random

import numpy as np
import torch

from ssod.hooks import SeedHook, seeding


def draws(fake_runner, monkeypatch, seed=0, rank=0, iteration=0):
    monkeypatch.setattr(seeding, 'get_dist_info', lambda: (rank, 8))
    SeedHook(seed).before_train_iter(fake_runner(iter=iteration))
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_the_same_place_draws_the_same_whatever_came_before(fake_runner, monkeypatch):
    first = draws(fake_runner, monkeypatch, 1, 2, 3)
    torch.rand(7), np.random.rand(7), random.random()
    assert draws(fake_runner, monkeypatch, 1, 2, 3) == first


def test_every_seed_rank_and_iteration_draws_something_else_from_every_generator(fake_runner, monkeypatch):
    places = [(s, r, i) for s in range(3) for r in range(3) for i in range(3)]
    drawn = [draws(fake_runner, monkeypatch, *place) for place in places]
    for generator in zip(*drawn, strict=True):
        assert len(set(generator)) == len(places)
