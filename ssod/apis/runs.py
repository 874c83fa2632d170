"""Trainings that a script starts, each in a process of its own: watched, stopped, continued, read from their logs."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmcv import Config

from ssod.core.errors import InputError
from ssod.hooks import Best

ROOT = Path(__file__).resolve().parents[2]


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

    def _note(self, number: int, frame) -> None:
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
    """Run a training; a short line for every line of its log, all of its output in ``work_dir/output.txt``.

    Args:
        env: environment variables besides those of this process.
        label: names the training in those lines.
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
    env = {'OMP_NUM_THREADS': str(threads), **os.environ, 'PATH': path, **env}
    pipe = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with log.open('a') as file, subprocess.Popen(list(map(str, command)), env=env, **pipe) as process:
        stop.processes.append(process)
        for line in process.stdout:
            file.write(line)
            show_progress(label, line)
    stop.processes.remove(process)
    if process.returncode and not stop.received:
        end = ''.join(log.read_text().splitlines(keepends=True)[-5:])
        raise InputError(f'training failed; the end of {log}:\n{end}')


def show_progress(label: str, line: str) -> None:
    """Print iteration, remaining time, loss and pseudo boxes of a training log's line; mAP or mIoU of an evaluation."""
    step = re.search(r'Iter \[(\d+)/(\d+)\].* eta: ([\d:]+).*? loss: ([\d.]+)', line)
    if step:
        weight = re.search(r'unsup_weight: ([\d.]+)', line)
        pseudo = re.search(r'num_pseudo_cls: ([\d.]+)', line)
        if weight and float(weight[1]) == 0:
            boxes = '   burn-in: labeled images alone'
        elif pseudo:
            boxes = f'   pseudo boxes per image {float(pseudo[1]):.1f}'
        else:
            boxes = ''
        loss = f'   loss {float(step[4]):.2f}'
        print(f'  {label:12} {step[1]:>4}/{step[2]}   remaining {step[3]}{loss}{boxes}', flush=True)
    elif 'Iter(val)' in line:
        scores = re.findall(r'(\w*(?:(?:bbox|segm)_mAP|mIoU)): ([\d.]+)', line)
        print(f'  {label:12} ' + '   '.join(f'{key} {100 * float(value):.1f}' for key, value in scores), flush=True)


def read_log(work_dir: Path) -> dict[str, list[dict]]:
    """The 'train' and the 'val' entries of a run's JSON logs, one file a start, by iteration."""
    entries: dict[str, dict[int, dict]] = {'train': {}, 'val': {}}
    for path in sorted(work_dir.glob('*.log.json')):
        for line in path.read_text().splitlines():
            if not line.endswith('}'):
                continue  # a kill or a full disk cut it
            entry = json.loads(line)
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
