"""Whom the processes wait for."""

import threading

import pytest
import torch.distributed as dist

from ssod.hooks import ranks
from ssod.hooks.ranks import Doing, RankWatch, blamed, note, noting


def doing(beat=1, idle=100.0, collectives=(7, 3), **settings):
    return Doing(beat=beat, idle=idle, collectives=collectives, **settings)


BEFORE = [doing(), doing(), doing()]


@pytest.mark.parametrize(
    'after, found',
    [
        ([doing(2), doing(1), doing(2)], {1: 'gives no sign of life'}),
        ([doing(2), None, doing(2)], {1: 'gives no sign of life'}),
        ([doing(2), doing(2), doing(2, collectives=(6, 3))], {2: 'has done nothing for 60 s'}),
        ([doing(2), doing(2, collectives=(7, 2)), doing(2)], {1: 'has done nothing for 60 s'}),
        ([doing(2), doing(2, failed='KeyError: x'), doing(1)], {1: 'failed: KeyError: x'}),
        ([doing(2)] * 3, dict.fromkeys(range(3), 'the network')),
        # One is slow, and does something; one computes metrics, which it may; one that may, but is gone.
        ([doing(2), doing(2, idle=59.0, collectives=(6, 3)), doing(2)], {}),
        ([doing(2, allowed=3600.0), doing(2), doing(2)], {}),
        ([doing(1, allowed=3600.0), doing(2), doing(2)], {0: 'gives no sign of life'}),
        ([doing(2, idle=3601.0, allowed=3600.0, collectives=(6, 3)), doing(2), doing(2)], {0: 'has done nothing'}),
    ],
)
def test_who_is_to_blame(after, found):
    said = blamed(BEFORE, after, timeout=60)
    assert said.keys() == found.keys()
    assert all(why in said[rank] for rank, why in found.items())


@pytest.fixture
def watch_of(monkeypatch, caplog):
    """Makes the watch of a process; all have one store, in place of processes there are threads."""
    monkeypatch.setattr(ranks, 'BEAT', 0.05)
    store = dist.HashStore()
    ended = {rank: threading.Event() for rank in range(3)}

    def make(rank, timeout=0.3, counts=(0,)):
        watch = RankWatch(timeout, store, rank, 3, lambda: counts, end=lambda status: ended[rank].set())
        watch.ended = ended[rank]
        return watch

    yield make
    note('has started')


def test_those_that_wait_end_and_the_lowest_of_them_names_the_one_that_hangs(watch_of, monkeypatch):
    said = []
    monkeypatch.setattr(
        ranks, 'get_root_logger', lambda: type('Log', (), dict(error=lambda _, text: said.append(text)))()
    )
    note('the step of iteration 5')
    with watch_of(0, counts=(4,)) as first, watch_of(1, counts=(3,)) as hangs, watch_of(2, counts=(4,)) as third:
        assert all(watch.ended.wait(20) for watch in (first, hangs, third))
    assert len(said) == 1
    assert said[0].startswith('process 1 of 3 has done nothing for 0.3 s; it last did: the step of iteration 5 (')


def test_a_broken_connection_names_the_process_that_has_failed(watch_of, monkeypatch):
    said = []
    monkeypatch.setattr(
        ranks, 'get_root_logger', lambda: type('Log', (), dict(error=lambda _, text: said.append(text)))()
    )
    with watch_of(2, timeout=100):
        with pytest.raises(KeyError), watch_of(1, timeout=100):
            raise KeyError('lost')
        with pytest.raises(SystemExit) as stop, watch_of(0, timeout=100):
            raise RuntimeError('[../third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer')
    assert stop.value.code == 1
    assert len(said) == 1 and said[0].startswith("process 1 of 3 failed: KeyError: 'lost'; it last did: ")


def test_an_error_of_its_own_is_not_laid_on_others(watch_of):
    with watch_of(0, timeout=100), watch_of(1, timeout=100), pytest.raises(RuntimeError, match='shape'):
        with watch_of(2, timeout=100):
            raise RuntimeError('shape of nccl')


def test_a_long_evaluation_is_waited_for(watch_of):
    with noting('the metrics'), watch_of(0) as first, watch_of(1) as second, watch_of(2) as third:
        assert not first.ended.wait(1.5)
        assert not second.ended.is_set() and not third.ended.is_set()
    assert ranks._doing.what == 'has started' and ranks._doing.allowed == 0
