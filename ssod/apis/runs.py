"""Trainings that a script starts, each in a process of its own: watched, stopped, continued, read from their logs."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from mmcv import Config

from ssod.core.errors import InputError
from ssod.core.look import evaluation_line, step_line
from ssod.core.progress import FILE, VARIABLE, Progress
from ssod.core.screen import Screen
from ssod.hooks import Best

ROOT = Path(__file__).resolve().parents[2]
POLL = 0.25  # seconds between two looks at a training


class StopRequest:
    """Remembers Ctrl-C and SIGTERM: trainings that run save a checkpoint and end, and no other is to be started.

    As a context it gives the signals back at its end.

    Attributes:
        received: whether one of the signals has come.
    """

    MESSAGE = 'stopped; run the same command again to continue'

    def __init__(self) -> None:
        self.received = False
        self.processes: list[subprocess.Popen] = []
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def __enter__(self) -> 'StopRequest':
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        # A terminal sends Ctrl-C to the trainings too; a second one would end them at once.
        if number == signal.SIGTERM:
            for process in self.processes:
                process.terminate()


def run_script(*command: object) -> None:
    """Run one of our scripts with this Python and print what it printed.

    Raises:
        InputError: it failed; the message holds its errors.
    """
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    print(done.stdout, end='', flush=True)
    if done.returncode:
        raise InputError(f'{command[0]} failed:\n{done.stderr}')


def prepare_shapes(data: Path, with_masks: bool = False) -> None:
    """Generate the demo's images, with masks or without, and label 5 % of them, unless they are there."""
    annotations = data / 'annotations'
    if not (annotations / 'semi_supervised').is_dir():
        tools = ROOT / 'tools/dataset'
        run_script(tools / 'make_shapes.py', data, *['--with-masks'] * with_masks)
        run_script(tools / 'semi_coco.py', annotations / 'instances_train.json', '--percent', 5, '--fold', 1)


def run_training(
    command: Sequence[object], env: Mapping[str, str], work_dir: Path, label: str, threads: int, stop: StopRequest
) -> None:
    """Run a training and follow ``work_dir/progress.json``; all of its output is in ``work_dir/output.txt``.

    On a terminal it is a row at its foot, elsewhere a line for each log interval and each evaluation.

    Args:
        env: environment variables besides those of this process.
        label: names the training.
        threads: of each of its processes, unless OMP_NUM_THREADS is set.
        stop: if it has received a signal the training does not start, or its early end is not an error.

    Raises:
        InputError: the training failed; the message holds the end of its output.
    """
    if stop.received:
        return
    work_dir.mkdir(parents=True, exist_ok=True)
    log = work_dir / 'output.txt'
    # The shell scripts call `python`: this one.
    path = f'{Path(sys.executable).parent}:{os.environ.get("PATH", "")}'
    follower = Follower(work_dir / FILE, label)
    own = {VARIABLE: str(follower.path.absolute()), 'PATH': path, **env}
    env = {'OMP_NUM_THREADS': str(threads), **os.environ, **own}
    start = partial(subprocess.Popen, list(map(str, command)), env=env, stdin=subprocess.DEVNULL)
    with log.open('a') as file, start(stdout=file, stderr=subprocess.STDOUT) as process:
        stop.processes.append(process)
        while process.poll() is None:
            time.sleep(POLL)
            follower.look()
        follower.look(at_end=True)
    stop.processes.remove(process)
    if process.returncode and not stop.received:
        end = ''.join(log.read_text().splitlines(keepends=True)[-5:])
        raise InputError(f'training failed; the end of {log}:\n{end}')


class Follower:
    """Reads how far a training is, and shows it.

    Args:
        path: the file that it writes.
        label: names the training.
    """

    def __init__(self, path: Path, label: str) -> None:
        self.path, self.label = path, label
        self.before = Progress.read(path)  # of an earlier start
        self.iteration: int | None = None
        self.evaluated_at: int | None = None
        self.seen: int | None = None  # time of the file, in ns

    def look(self, at_end: bool = False) -> None:
        """Show what is new."""
        shown = Screen.current
        if at_end and shown:
            shown.rows.pop(self.label, None)
        if shown:
            shown.refresh()
        written = self.path.stat().st_mtime_ns if self.path.is_file() else None
        if written == self.seen:
            return
        self.seen, now = written, Progress.read(self.path)
        if now is None or (self.before and now.written == self.before.written):
            return
        if shown and not at_end:
            shown.show(self.label, now)
        if now.losses and now.iteration != self.iteration and not shown:
            print(step_line(self.label, now), flush=True)
        if now.metrics and now.evaluated_at != self.evaluated_at:
            (shown.say if shown else partial(print, flush=True))(evaluation_line(self.label, now))
        self.iteration, self.evaluated_at = now.iteration, now.evaluated_at


def read_log(work_dir: Path) -> dict[str, list[dict]]:
    """The 'train' and the 'val' entries of a run's JSON logs, one file a start, by iteration."""
    entries: dict[str, dict[int, dict]] = {'train': {}, 'val': {}}
    for path in sorted(work_dir.glob('*.log.json')):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a kill or a full disk cut it
            if 'mode' in entry:
                entries[entry['mode']][entry['iter']] = entry
    return {mode: [by_iter[i] for i in sorted(by_iter)] for mode, by_iter in entries.items()}


def evaluated_at_end(work_dir: Path, cfg: Config) -> dict | None:
    """The log entry of a finished run's last evaluation; None if the run is not finished.

    A run ends with an evaluation: after its last iteration, or when ``evaluation.patience`` is at its end.
    """
    entries = read_log(work_dir)['val']
    if not entries:
        return None
    best, patience = Best.read(work_dir), cfg.evaluation.get('patience')
    waited = best and (entries[-1]['iter'] - best.iteration) // cfg.evaluation.interval
    ended = entries[-1]['iter'] >= cfg.runner.max_iters or (best and patience and waited >= patience)
    return entries[-1] if ended else None


def forget_unevaluated(work_dir: Path, max_iters: int) -> None:
    """Remove a last checkpoint that was never evaluated: its run ended in between, and goes on from the one before."""
    checkpoint = work_dir / f'iter_{max_iters}.pth'
    if checkpoint.exists():
        checkpoint.unlink()
        (work_dir / 'latest.pth').unlink(missing_ok=True)


@contextmanager
def alone_in(work_dir: Path, stop: StopRequest) -> Iterator[None]:
    """Wait until no other process trains in ``work_dir``, or a signal comes; others wait meanwhile."""
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / '.lock').open('w') as file:
        while not stop.received:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(1)
        yield
