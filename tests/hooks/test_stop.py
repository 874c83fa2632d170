"""A run that is asked to stop."""

import os
import signal
import threading
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from ssod.hooks import ReleasingOptimizerHook, StopSignalHook


@pytest.fixture(autouse=True)
def handlers():
    """Put this process's signal handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def saving_runner(fake_runner):
    saved = []

    def make(**kwargs):
        runner = fake_runner(nn.Linear(1, 1), iter=6, **kwargs)
        runner.save_checkpoint = lambda folder, filename_tmpl: saved.append(filename_tmpl.format(runner.iter + 1))
        runner.saved = saved
        return runner

    return make


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_after_the_iteration_with_a_checkpoint(saving_runner, number, code):
    hook, runner = StopSignalHook(), saving_runner()
    with hook.listening():
        hook.after_train_iter(runner)
        assert runner.saved == []
        os.kill(os.getpid(), number)
        assert runner.saved == []
        with pytest.raises(SystemExit) as stopped:
            hook.after_train_iter(runner)
        assert signal.getsignal(number) == signal.SIG_DFL, 'a second one ends the process at once'
    assert stopped.value.code == code
    assert runner.saved == ['iter_7.pth']
    assert runner.messages == [f'{number.name}: saved iteration 7; continue with --auto-resume']


@pytest.mark.parametrize('error', [None, RuntimeError, SystemExit])
def test_the_process_has_its_own_handlers_back_however_the_run_ends(error):
    def own(number, frame):
        pass

    signal.signal(signal.SIGTERM, own)
    with pytest.raises(error) if error else nullcontext(), StopSignalHook().listening():
        assert signal.getsignal(signal.SIGTERM) != own
        if error:
            raise error
    assert signal.getsignal(signal.SIGTERM) == own


def test_another_thread_leaves_the_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def train():
        with StopSignalHook().listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize('told', [0, 1])
def test_all_ranks_stop_after_the_same_iteration_and_rank_0_saves(saving_runner, on_two_ranks, told):
    def stop(rank):
        hook, runner = StopSignalHook(), saving_runner(rank=rank)
        with hook.listening():
            hook.after_train_iter(runner)
            if rank == told:
                os.kill(os.getpid(), signal.SIGTERM)
            try:
                hook.after_train_iter(runner)
            except SystemExit as stopped:
                return torch.tensor([stopped.code, len(runner.saved)])
        return torch.tensor([0, 0])

    assert [values.tolist() for values in on_two_ranks(stop)] == [[143, 1], [143, 0]]


def test_a_step_of_several_iterations_is_done_before_the_run_ends(saving_runner):
    hook, runner = StopSignalHook(), saving_runner(hooks=[ReleasingOptimizerHook(cumulative_iters=4)])
    hook.received = signal.SIGTERM
    hook.after_train_iter(runner)
    assert runner.saved == []
    runner.iter = 7
    with pytest.raises(SystemExit):
        hook.after_train_iter(runner)
    assert runner.saved == ['iter_8.pth']
