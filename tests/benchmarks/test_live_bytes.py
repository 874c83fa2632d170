"""Bytes that are alive, by hand."""

import torch

from benchmarks.live_bytes import LiveBytes


def test_a_storage_counts_from_its_operator_until_nothing_holds_it():
    with LiveBytes() as live:
        whole = torch.zeros(1000)
        assert live.now == 4000
        part = whole.view(10, 100)[2:]  # shares it
        del whole
        assert live.now == 4000
        other = part + 1
        assert live.now == 4000 + 3200
        del part
        assert live.now == 3200
        other.add_(1)
        assert live.now == 3200 and live.peak == {'': 7200}


def test_what_the_backward_pass_wants_counts_until_it_has_been():
    part = ['forward']
    weight = torch.zeros(500, requires_grad=True)
    live = LiveBytes(lambda: part[0])
    live.add([weight])
    with live:
        loss = (weight * 2).exp().sum()
        assert live.now == 2000 + 2000 + 4  # the weight, what exp() keeps, the loss
        part[0] = 'backward'
        loss.backward()
        assert live.now == 2000 + 4 + 2000  # the gradient
    assert live.peak['forward'] == 3 * 2000  # before the sum, with the product that exp() was given
