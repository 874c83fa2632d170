"""Clocks and memory of a contestant: only the standard library and torch, so that it runs in a peer's environment."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import torch


class Parts:
    """Seconds by part of a run: each moment belongs to the innermost part then open, to 'other' if none is.

    On a GPU the marks are CUDA events, so the seconds are those of the device and nothing waits within the run.
    """

    def __init__(self, cuda: bool) -> None:
        self.cuda = cuda
        self.marks: list[tuple[Any, str]] = []
        self.open = ['other']

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Count the block for ``part``."""
        self.open.append(part)
        self._mark()
        try:
            yield
        finally:
            self.open.pop()
            self._mark()

    def watch(self, owner: Any, method: str, part: str) -> None:
        """Count every call of ``owner.method`` for ``part`` from now on."""
        function = getattr(owner, method)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self(part):
                return function(*args, **kwargs)

        setattr(owner, method, timed)

    def measure(self, run: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
        """What ``run`` returns, and the seconds of its parts; their sum is the run's time."""
        self.marks.clear()
        self._mark()
        result = run()
        self._mark()
        if self.cuda:
            torch.cuda.synchronize()
        seconds: dict[str, float] = {}
        for (begin, part), (end, _) in zip(self.marks, self.marks[1:], strict=False):
            passed = begin.elapsed_time(end) / 1000 if self.cuda else end - begin
            seconds[part] = seconds.get(part, 0.0) + passed
        return result, seconds

    def _mark(self) -> None:
        if self.cuda:
            now = torch.cuda.Event(enable_timing=True)
            now.record()
        else:
            now = time.perf_counter()
        self.marks.append((now, self.open[-1]))


def reset_peak_memory(cuda: bool) -> int:
    """Forget the peak so far; the bytes in use now: of the GPU, or resident in this process (Linux)."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path('/proc/self/clear_refs').write_text('5')
    return _resident('VmRSS')


def peak_memory(cuda: bool) -> int:
    """Most bytes in use since :func:`reset_peak_memory`."""
    return torch.cuda.max_memory_allocated() if cuda else _resident('VmHWM')


def _resident(what: str) -> int:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024
    raise OSError(f'/proc/self/status has no {what}')
