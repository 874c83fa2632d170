"""A run's checkpoints are there whole or not at all."""

import errno
import os
from pathlib import Path

import pytest
import torch
from mmcv.parallel import MMDataParallel
from mmcv.runner import CheckpointHook, IterBasedRunner, build_runner
from torch import nn

from ssod.apis.runner import WholeCheckpoints, with_whole_checkpoints
from ssod.core import files
from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def runner(tmp_path, fake_runner):
    model = nn.Linear(2, 3)
    model.CLASSES = ('a', 'b')
    return build_runner(
        dict(type=with_whole_checkpoints('IterBasedRunner'), max_iters=20),
        default_args=dict(
            model=MMDataParallel(model, device_ids=[]),
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            work_dir=str(tmp_path),
            logger=fake_runner().logger,
            meta=dict(seed=3),
        ),
    )


def save_at(runner, iteration):
    runner._iter = iteration - 1
    runner.save_checkpoint(runner.work_dir)


def test_it_holds_what_mmcvs_does(runner, tmp_path):
    save_at(runner, 4)
    loaded = load_file(tmp_path / 'iter_4.pth')
    assert torch.equal(loaded['state_dict']['weight'], runner.model.module.weight)
    assert {**dict(iter=3, epoch=1, seed=3, CLASSES=('a', 'b')), **loaded['meta']} == loaded['meta']
    assert loaded['optimizer']['param_groups'][0]['lr'] == 0.1
    assert names(tmp_path) == ['iter_4.pth', 'latest.pth'] and os.readlink(tmp_path / 'latest.pth') == 'iter_4.pth'
    assert type(runner).__name__ == 'IterBasedRunner' and isinstance(runner, IterBasedRunner)


@pytest.mark.parametrize('fails', ['fsync', 'replace'])
def test_a_full_disk_leaves_the_checkpoint_before_and_latest(runner, tmp_path, monkeypatch, fails):
    save_at(runner, 4)
    before = (tmp_path / 'iter_4.pth').read_bytes()
    with monkeypatch.context() as patch:

        def full(*args):
            raise OSError(errno.ENOSPC, 'No space left on device')

        patch.setattr(files.os, fails, full)
        for iteration in (4, 8):
            with pytest.raises(InputError, match=f'cannot write .*/iter_{iteration}.pth: No space left on device; '):
                save_at(runner, iteration)
    assert names(tmp_path) == ['iter_4.pth', 'latest.pth'] and os.readlink(tmp_path / 'latest.pth') == 'iter_4.pth'
    assert (tmp_path / 'iter_4.pth').read_bytes() == before


def test_a_disk_that_fills_up_while_mmcv_writes(runner, tmp_path, monkeypatch):
    def put(self, content, path):
        Path(path).write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, 'No space left on device')

    save_at(runner, 4)
    monkeypatch.setattr('mmcv.fileio.file_client.HardDiskBackend.put', put)
    with pytest.raises(InputError, match='nothing is there; make room, or write elsewhere'):
        save_at(runner, 8)
    assert names(tmp_path) == ['iter_4.pth', 'latest.pth']


def test_the_file_that_latest_names_is_never_rewritten_in_place(runner, tmp_path):
    """SIGTERM's save of an iteration that has been saved."""
    save_at(runner, 4)
    with open(tmp_path / 'latest.pth', 'rb') as before:
        content = (tmp_path / 'iter_4.pth').read_bytes()
        runner.model.module.weight.data.zero_()
        save_at(runner, 4)
        assert before.read() == content, 'who had it open reads the old one'
    assert not load_file(tmp_path / 'latest.pth')['state_dict']['weight'].any()


def test_latest_moves_after_the_checkpoint_is_whole_and_old_ones_go_after_that(runner, tmp_path, monkeypatch):
    hook = CheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=2)
    runner.call_hook = lambda *args: None
    hook.before_run(runner)
    seen = []
    own = os.replace

    def replace(source, target):
        seen.append((Path(target).name, names(tmp_path)))
        own(source, target)

    monkeypatch.setattr(files.os, 'replace', replace)
    for iteration in range(4):
        runner._iter = iteration
        hook.after_train_iter(runner)
    assert [name for name, _ in seen] == [name for i in (1, 2, 3, 4) for name in (f'iter_{i}.pth', 'latest.pth')]
    assert {'iter_1.pth', 'iter_2.pth'} < set(seen[4][1]), 'both are there until the third is'
    assert names(tmp_path) == ['iter_3.pth', 'iter_4.pth', 'latest.pth']


def test_a_runner_that_saves_in_its_own_way_is_left_alone():
    class Own(IterBasedRunner):
        def save_checkpoint(self, *args, **kwargs):
            pass

    class Plain(IterBasedRunner):
        pass

    assert with_whole_checkpoints(Own) is Own
    assert issubclass(with_whole_checkpoints(Plain), (WholeCheckpoints, Plain))
    assert IterBasedRunner.save_checkpoint is not WholeCheckpoints.save_checkpoint


def test_weights_that_are_not_finite_are_not_kept(runner, tmp_path):
    save_at(runner, 4)
    runner.model.module.weight.data[1, 1] = float('nan')
    with pytest.raises(InputError, match='^weight is not finite: no checkpoint is written, those before stay'):
        save_at(runner, 8)
    assert names(tmp_path) == ['iter_4.pth', 'latest.pth']
    runner.model.module.weight.data.zero_()
    runner.model.module.add_module('bn', nn.BatchNorm1d(3))
    runner.model.module.bn.running_var[0] = float('inf')
    with pytest.raises(InputError, match='^bn.running_var is not finite'):
        save_at(runner, 8)
    runner.model.module.bn.running_var[0] = 1
    runner.model.module.register_buffer('mask', torch.tensor(float('-inf')))  # no weight
    save_at(runner, 8)
    assert names(tmp_path) == ['iter_4.pth', 'iter_8.pth', 'latest.pth']
