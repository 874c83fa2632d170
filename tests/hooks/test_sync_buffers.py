"""BatchNorm statistics over ranks."""

import torch
from torch import nn

from ssod.hooks import SyncBuffersEachIterHook


def layers():
    """A BatchNorm that trains, a frozen one, one without statistics."""
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    model[1].eval()
    return model


def statistics(model):
    return torch.stack([b for layer in model[:2] for b in (layer.running_mean, layer.running_var)])


def test_statistics_of_layers_that_train_are_averaged_over_ranks(on_two_ranks, fake_runner):
    def step(rank):
        model = layers()
        for layer in model[:2]:
            layer.running_mean.fill_(rank)
            layer.running_var.fill_(3.0 + 4 * rank)
        SyncBuffersEachIterHook().after_train_iter(fake_runner(model))
        return statistics(model)[:, 0]

    for rank, values in enumerate(on_two_ranks(step)):
        assert values.tolist() == [0.5, 5.0, rank, 3.0 + 4 * rank]


def test_a_single_process_keeps_its_statistics(fake_runner):
    model = layers()
    before = statistics(model)
    SyncBuffersEachIterHook().after_train_iter(fake_runner(model))
    assert torch.equal(statistics(model), before)
