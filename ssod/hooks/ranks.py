"""No process waits for ever for one that is gone or hangs: those that wait find out which one it is, and end."""

import json
import os
import platform
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any

import torch.distributed as dist
from mmcv.runner import Hook
from mmdet.utils import get_root_logger

from ssod.compat import TIMEOUT

from .process_group import cpu_group

DEFAULT = 600.0
# Seconds between two signs of life, and how many of them must be missing.
BEAT = 1.0
MISSING = 4
# What gloo and NCCL say when another process has closed its end.
BROKEN = re.compile(r'gloo|nccl|connection (closed|reset|refused)', re.IGNORECASE)


@dataclass(frozen=True)
class Doing:
    """What a process does, as the others see it.

    Attributes:
        what: in words.
        allowed: seconds that it may take.
        idle: seconds since anything happened.
        collectives: how many operations of all processes it has begun, in the groups of GPU and CPU.
        beat: rises while the process lives.
        place: machine, process id and line of the program.
        failed: its error, '' if there is none.
    """

    what: str = 'has started'
    allowed: float = 0.0
    idle: float = 0.0
    collectives: tuple[int, ...] = ()
    beat: int = 0
    place: str = ''
    failed: str = ''


# What the main thread of this process does, and since when.
_doing, _since = Doing(), time.monotonic()


def note(what: str, allowed: float = 0.0) -> None:
    """Say what this process does from now on.

    Args:
        what: in words, behind 'it last did:'.
        allowed: seconds for which the others wait without a word, if it is more than their ``rank_timeout``.
    """
    global _doing, _since
    _doing, _since = Doing(what, allowed), time.monotonic()


@contextmanager
def noting(what: str, allowed: float = TIMEOUT.total_seconds()) -> Iterator[None]:
    """:func:`note` for a block that the others wait for; afterwards what was said before."""
    before = _doing
    note(what, allowed)
    try:
        yield
    finally:
        note(before.what, before.allowed)


class NoteIterationHook(Hook):
    """Notes which iteration a process is in. Registered with the highest priority."""

    def before_train_iter(self, runner) -> None:
        """Its images are there."""
        note(f'the step of iteration {runner.iter + 1}')

    def after_train_iter(self, runner) -> None:
        """The loss is there; gradients, checkpoints and logs come."""
        note(f'the end of iteration {runner.iter + 1}, or the images of the next one')


def blamed(before: Sequence[Doing | None], after: Sequence[Doing | None], timeout: float) -> dict[int, str]:
    """Which processes the others wait for in vain, and why; none, if one still does something.

    Args:
        before, after: what all processes did, some seconds apart; None: it never said so.
        timeout: seconds without any doing that are too many.
    """
    if failed := {rank: f'failed: {now.failed}' for rank, now in enumerate(after) if now and now.failed}:
        return failed
    pairs = list(zip(before, after, strict=True))
    if gone := [rank for rank, (old, new) in enumerate(pairs) if new is None or (old and old.beat == new.beat)]:
        return dict.fromkeys(gone, 'is gone or stopped: it gives no sign of life')
    if any(now.idle < max(timeout, now.allowed) for now in after):
        return {}
    counts = [now.collectives for now in after]
    behind = [rank for rank, own in enumerate(counts) if own != max(counts)]
    if behind:
        return dict.fromkeys(behind, f'has done nothing for {timeout:g} s')
    return dict.fromkeys(range(len(after)), f'waits for the others for {timeout:g} s: look at the network and the GPUs')


class RankWatch:
    """Publishes what this process does, and ends it when another one has done nothing for ``timeout`` seconds.

    A thread of its own writes into the store of the process group every second; so what is said of a process that was
    killed is up to a second old. It reads only when this process itself does not go on. The lowest process that is not
    to blame says in the log whom all wait for, and what that one did last.

    Args:
        timeout: seconds.
        store: of all processes, with ``set``, ``get`` and ``check``.
        rank, world_size: this process, and how many there are.
        count: gives the numbers of operations of all processes that this one has begun.
        end: called with a status to end this process, from the thread.
    """

    def __init__(
        self,
        timeout: float,
        store: Any,
        rank: int,
        world_size: int,
        count: Callable[[], tuple[int, ...]],
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self.timeout, self.store, self.rank, self.world_size = timeout, store, rank, world_size
        self.count, self.end = count, end
        self.beat, self.counted, self.changed = 0, (), time.monotonic()
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True, name='rank-watch')

    def __enter__(self) -> 'RankWatch':
        self.publish()
        self.thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.closing.set()
        self.thread.join()
        if error is None or isinstance(error, SystemExit):
            return
        if isinstance(error, RuntimeError) and BROKEN.search(str(error)):
            found = self.look()
            if found and self.rank not in found:
                self.speak(found)
                raise SystemExit(1) from error
        self.publish(f'{type(error).__name__}: {(str(error).splitlines() or [""])[0]}')

    def publish(self, failed: str = '') -> None:
        """Tell the others what this process does."""
        self.beat += 1
        counted, now = self.count(), time.monotonic()
        if counted != self.counted:
            self.counted, self.changed = counted, now
        own = replace(
            _doing,
            idle=now - max(_since, self.changed),
            collectives=counted,
            beat=self.beat,
            place=f'{platform.node()}, pid {os.getpid()}, {line_of_main_thread()}',
            failed=failed,
        )
        self.own = own
        self.store.set(str(self.rank), json.dumps(asdict(own)))

    def read(self) -> list[Doing | None]:
        """What all processes said last."""
        found: list[Doing | None] = []
        for rank in map(str, range(self.world_size)):
            if not self.store.check([rank]):
                found.append(None)
                continue
            values = json.loads(self.store.get(rank))
            found.append(Doing(**{**values, 'collectives': tuple(values['collectives'])}))
        return found

    def look(self) -> dict[int, str]:
        """Whom this process waits for, and why; while it looks it goes on to give signs of life."""
        try:
            before = self.read()
            for _ in range(MISSING):
                time.sleep(BEAT)
                self.publish()
            self.seen = [new or old for old, new in zip(before, self.read(), strict=True)]
            return blamed(before, self.seen, self.timeout)
        except RuntimeError:  # the store itself, which process 0 or its launcher keeps
            self.seen = [Doing(what='unknown')] * self.world_size
            return {0: 'or its launcher is gone: the list of all processes cannot be read'}

    def speak(self, found: dict[int, str]) -> None:
        """Name the processes that are blamed; those that are not the speaker leave it the time to speak."""
        others = [rank for rank in range(self.world_size) if rank not in found]
        if self.rank != min(others or [0]):
            time.sleep(3 * BEAT)
            return
        for rank, why in found.items():
            last = self.seen[rank] or Doing()
            get_root_logger().error(
                f'process {rank} of {self.world_size} {why}; it last did: {last.what} ({last.place}). '
                'All processes end; continue with --auto-resume'
            )

    def _run(self) -> None:
        while not self.closing.wait(BEAT):
            try:
                self.publish()
            except RuntimeError:  # the store is gone; who waits finds out below
                self.own = replace(self.own, idle=time.monotonic() - max(_since, self.changed))
            if self.own.idle < max(self.timeout, self.own.allowed):
                continue
            found = self.look()
            if found and not self.closing.is_set():
                self.speak(found)
                sys.stdout.flush()
                self.end(1)
                return


def line_of_main_thread() -> str:
    """Where in the program the main thread is."""
    frame = sys._current_frames().get(threading.main_thread().ident)
    if frame is None:
        return 'ended'
    place = traceback.extract_stack(frame, limit=1)[0]
    return f'{"/".join(place.filename.split("/")[-3:])}:{place.lineno} in {place.name}'


@contextmanager
def watching(timeout: float) -> Iterator[None]:
    """Watch the processes of a run for a block.

    One process alone waits for nobody. Processes that do not meet at ``MASTER_ADDR``, where torchrun and Slurm let them
    meet, are not watched.

    Args:
        timeout: seconds after which a process that does nothing ends the run.
    """
    alone = not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1
    if alone or 'MASTER_ADDR' not in os.environ:
        yield
        return
    # A connection of its own: that of torch is locked while the main thread waits.
    host, port = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    store = dist.TCPStore(host, port, is_master=False, wait_for_workers=False)
    store = dist.PrefixStore(f'ssod/{os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")}', store)
    groups = [dist.group.WORLD, cpu_group()]
    note('the start')
    with RankWatch(
        timeout,
        store,
        dist.get_rank(),
        dist.get_world_size(),
        lambda: tuple(group._get_sequence_number_for_group() for group in groups),
    ):
        yield
