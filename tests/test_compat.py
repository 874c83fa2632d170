"""Each shim against the fault that it mends."""

import numpy as np
import pytest
import torch
from mmcv.parallel import DataContainer
from mmcv.parallel import _functions as mmcv_functions
from mmdet.core.bbox.samplers import IoUBalancedNegSampler
from torch import nn

from ssod import compat


def test_mmcv_gets_a_stream_by_device_number(monkeypatch):
    asked = []
    monkeypatch.setattr(compat, '_torch_get_stream', lambda device: asked.append(device) or 'stream')
    assert mmcv_functions._get_stream(1) == 'stream'
    assert mmcv_functions._get_stream(torch.device('cpu')) == 'stream'
    assert asked == [torch.device('cuda', 1), torch.device('cpu')]


def test_mending_again_changes_nothing():
    before = mmcv_functions._get_stream, compat._torch_get_stream, np.int
    compat.mend()
    assert (mmcv_functions._get_stream, compat._torch_get_stream, np.int) == before
    assert compat._torch_get_stream is not compat.get_stream, 'it would call itself for ever'


def test_mmdetections_sampler_that_uses_np_int_works():
    assert np.int is int
    sampler = IoUBalancedNegSampler(num=4, pos_fraction=0.5, floor_thr=0.1)
    overlaps = np.array([0.0, 0.05, 0.2, 0.3, 0.35])
    chosen = sampler.sample_via_interval(overlaps, set(range(5)), 3)
    assert len(set(chosen)) == 3 and chosen.dtype == np.int64


@pytest.mark.parametrize('value', [np.float32(0.25), np.float64(0.25), np.int64(3), np.bool_(True), np.arange(3.0)])
def test_numpy_values_of_a_checkpoint_load_with_weights_only(tmp_path, value):
    torch.save(dict(meta=dict(best_score=value)), tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)['meta']['best_score']
    assert type(loaded) is type(value) and np.array_equal(loaded, value)


class Net(nn.Module):
    """Its answers say what reached it."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 1)

    def forward(self, img, img_metas, return_loss=True):
        return img_metas, return_loss, self.fc(img)

    def train_step(self, data, optimizer):
        assert optimizer == 'sgd'
        return dict(loss=self.fc(data['img']).sum(), metas=data['img_metas'])


@pytest.fixture
def batch():
    return dict(
        img=DataContainer([torch.ones(3, 2)], stack=True),
        img_metas=DataContainer([[dict(filename='a')]], cpu_only=True),
    )


def test_ddp_on_a_cpu_answers_a_test_batch(gloo, batch):
    model = compat.DistributedDataParallel(Net()).eval()
    with torch.no_grad():
        metas, return_loss, out = model(return_loss=False, **batch)
    assert metas == [dict(filename='a')] and return_loss is False and out.shape == (3, 1)


def test_ddp_on_a_cpu_opens_the_containers_of_a_training_batch_and_trains(gloo, batch):
    model = compat.DistributedDataParallel(Net())
    result = model.train_step(batch, 'sgd')
    assert result['metas'] == [dict(filename='a')]
    result['loss'].backward()
    assert model.module.fc.weight.grad.tolist() == [[3, 3]]


def test_ddp_on_a_cpu_averages_gradients_over_ranks(on_two_ranks, batch):
    def step(rank):
        model = compat.DistributedDataParallel(Net())
        (model.train_step(batch, 'sgd')['loss'] * (1 + 2 * rank)).backward()
        return model.module.fc.weight.grad

    assert [grad.tolist() for grad in on_two_ranks(step)] == [[[6, 6]]] * 2


def test_joining_without_torchrun_says_how_to_start(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match='use tools/dist_train.sh or torchrun'):
        compat.init_distributed()


@pytest.fixture
def machine(monkeypatch):
    """``machine(gpus, processes)``: this process is the last of them; gives what it joins and the GPU it takes."""

    def make(gpus: int, processes: int) -> tuple[list, list]:
        joined, device = [], []
        for name, value in dict(RANK=10, LOCAL_RANK=processes - 1, LOCAL_WORLD_SIZE=processes).items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
        monkeypatch.setattr(torch.cuda, 'set_device', device.append)
        monkeypatch.setattr(
            torch.distributed, 'init_process_group', lambda backend, timeout: joined.append((backend, timeout))
        )
        return joined, device

    return make


def test_more_processes_than_gpus_are_refused(machine):
    machine(gpus=2, processes=3)
    with pytest.raises(ValueError, match=r'3 processes on this machine, which has 2 GPU\(s\)'):
        compat.init_distributed()


def test_processes_with_gpus_take_one_each_and_talk_by_nccl(machine):
    joined, device = machine(gpus=4, processes=4)
    compat.init_distributed()
    assert (joined, device) == ([('nccl', compat.TIMEOUT)], [3])


def test_processes_without_gpus_talk_by_gloo(machine):
    joined, device = machine(gpus=0, processes=4)
    compat.init_distributed()
    assert (joined, device) == ([('gloo', compat.TIMEOUT)], [])


def test_processes_that_are_started_again_do_not_meet_those_before(monkeypatch):
    """torchrun's one store, as three attempts of process 0 see it."""
    assert compat.store_of_attempt() == {}, 'not of torchrun: torch finds the store'
    server = torch.distributed.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    address = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=server.port, RANK=1, WORLD_SIZE=2)
    for name, value in dict(address, TORCHELASTIC_USE_AGENT_STORE=True).items():
        monkeypatch.setenv(name, str(value))
    stores = []
    for attempt in (0, 0, 1):
        monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', str(attempt))
        settings = compat.store_of_attempt()
        assert (settings['rank'], settings['world_size']) == (1, 2)
        stores.append(settings['store'])
    stores[0].set('address of 1', 'port 4502')
    assert stores[1].get('address of 1') == b'port 4502' and not stores[2].check(['address of 1'])
