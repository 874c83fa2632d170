"""Contestants that take turns on one case."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

from ssod.core.errors import InputError

HERE = Path(__file__).resolve().parent


class Contestant:
    """One implementation in a process of its own, which starts now; see contestant.py.

    Raises:
        InputError: the process ended; the last lines that it wrote say why.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.errors = tempfile.TemporaryFile('w+')
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, bufsize=1)
        path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get('PYTHONPATH')]))
        self.process = subprocess.Popen(command, env={**os.environ, 'PYTHONPATH': path}, **pipes)
        self.memory = 0
        self.runs: list[dict] = []

    def wait(self) -> None:
        """Until it is built."""
        self.memory = self._answer()['memory']

    def run(self, trace: str = '') -> dict:
        """One run's figures, or with a file for its trace, its profile."""
        print(trace, file=self.process.stdin)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        raise InputError(f'{self.name} ended: {" / ".join(self.errors.read().strip().splitlines()[-3:])}')


def commands(args: argparse.Namespace, folder: str) -> dict[str, list[str]]:
    """What starts each contestant: ours first, then what it is compared with."""
    kind = 'count' if args.count else args.kind
    adapters = {'ours': (sys.executable, 'ours.py', kind, folder)}
    if args.kind == 'ema':
        adapters['loop'] = (sys.executable, 'ours.py', 'ema_loop', folder)
    if args.plain:
        adapters['plain'] = (sys.executable, 'ours.py', f'{kind}_plain', folder)
    if args.official:
        adapters['official'] = (args.official_python, 'official.py', kind, folder, args.official)
    if args.mmdet3:
        adapters['mmdet3'] = (args.mmdet3, 'mmdet3.py', kind, folder)
    return {name: [python, str(HERE / script), *rest] for name, (python, script, *rest) in adapters.items()}


def measure(args: argparse.Namespace, settings: dict, folder: str) -> dict:
    """All contestants in turn, on the case that the folder holds: the figures of each by name, and our profile."""
    with ExitStack() as stack:
        runners = [
            stack.enter_context(closing(Contestant(name, command))) for name, command in commands(args, folder).items()
        ]
        for runner in runners:
            runner.wait()
        for _ in range(args.warmup + args.repeats):
            for runner in runners:
                runner.runs.append(runner.run())
        results = {runner.name: summary(runner.runs[args.warmup :], runner.memory, settings) for runner in runners}
        if args.profile:
            results['profile'] = runners[0].run(args.profile)
    return results


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return dict(median=median(values), min=min(values), max=max(values))


def summary(runs: list[dict], memory: int, settings: dict) -> dict:
    """Median, least and most of what the runs took; bytes at most, and above ``memory``; what the last run found."""
    images = sum(settings['images']) * settings['processes']
    if settings['kind'] == 'loader':
        images *= settings['batches']
    if settings['kind'] == 'inference':
        images = settings['images'][1]
    wall = spread([run['wall'] for run in runs])
    names = runs[-1]['parts']
    return dict(
        wall=wall,
        cpu=spread([run['cpu'] for run in runs]),
        images_per_second=images / wall['median'],
        peak=max(run['peak'] for run in runs),
        run_memory=max(run['peak'] for run in runs) - memory,
        parts={name: spread([run['parts'].get(name, 0.0) for run in runs]) for name in names},
        figures=runs[-1]['figures'],
    )
