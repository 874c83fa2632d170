"""What processes tell each other beside the gradients."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from ssod import compat
from ssod.hooks.process_group import cpu_group, gather_in_order, max_over_ranks


def test_the_group_is_made_once_for_each_default_group(tmp_path):
    for name in ('first', 'second'):
        dist.init_process_group('gloo', init_method=f'file://{tmp_path}/{name}', rank=0, world_size=1)
        assert cpu_group() is cpu_group() is not dist.group.WORLD
        assert max_over_ranks(3) == 3
        assert len(dist.distributed_c10d._world.pg_map) == 2
        dist.destroy_process_group()


@pytest.mark.parametrize('total', [0, 1, 4, 5])
def test_items_come_in_the_order_of_the_data_set_without_those_given_twice(on_two_ranks, total):
    def gather(rank):
        items = [dict(number=i % max(total, 1)) for i in range(rank, total + total % 2, 2)]
        found = gather_in_order(items, total)
        assert (found is None) == (rank == 1)
        return torch.tensor([item['number'] for item in found or []])

    found = on_two_ranks(gather)
    assert found[0].tolist() == [*range(total)] and found[1].tolist() == []


def test_the_highest_number_of_all_ranks(on_two_ranks):
    assert [value.item() for value in on_two_ranks(lambda rank: torch.tensor(max_over_ranks(15 * rank)))] == [15, 15]


@pytest.mark.parametrize('gpus, backend', [(0, 'gloo'), (2, 'nccl')])
def test_processes_wait_for_hours(monkeypatch, gpus, backend):
    asked = []
    monkeypatch.setattr(dist, 'init_process_group', lambda backend, timeout: asked.append((backend, timeout)))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
    monkeypatch.setattr(torch.cuda, 'set_device', lambda device: None)
    for name, value in dict(RANK=0, LOCAL_RANK=0, LOCAL_WORLD_SIZE=2).items():
        monkeypatch.setenv(name, str(value))
    compat.init_distributed()
    assert asked == [(backend, compat.TIMEOUT)] and compat.TIMEOUT >= timedelta(hours=2)
