"""Every moment of a run belongs to one part."""

import mmap
import time

import pytest

from benchmarks.measuring import Parts, peak_memory, reset_peak_memory


class Clock:
    """Ten seconds later at each look."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        self.now += 10
        return self.now


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.setattr(time, 'perf_counter', Clock())
    return Parts(cuda=False)


def test_a_moment_counts_for_the_innermost_part(parts):
    def run():
        with parts('outer'):
            with parts('inner'):
                pass
            with parts('inner'):
                pass
        return 'figures'

    result, seconds = parts.measure(run)
    assert result == 'figures'
    # begin |10 outer| 10 inner |10| outer 10 |inner| 10 outer | 10 end
    assert seconds == dict(other=20, outer=30, inner=20)


def test_a_watched_method_keeps_its_result_and_its_error(parts):
    class Owner:
        def half(self, value):
            return 1 / value

    owner = Owner()
    parts.watch(owner, 'half', 'halving')
    assert parts.measure(lambda: owner.half(2)) == (0.5, dict(other=20, halving=10))
    with pytest.raises(ZeroDivisionError):
        parts.measure(lambda: owner.half(0))
    assert parts.open == ['other']


def test_peak_memory_sees_what_was_freed():
    before = reset_peak_memory(cuda=False)
    with mmap.mmap(-1, 64 * 2**20) as fresh:  # not malloc, which may have as much left from earlier tests
        fresh[::4096] = b'1' * (len(fresh) // 4096)  # every page
    assert 60 * 2**20 < peak_memory(cuda=False) - before < 100 * 2**20
