"""Train what is compared: for each seed the baseline, then label-once from it, and the method beside them."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from mmcv import Config

from ssod.apis.checks import check_train_config
from ssod.apis.config import load_config, write_config
from ssod.apis.recipe import settle
from ssod.apis.runs import StopRequest, alone_in, evaluated_at_end, forget_unevaluated, run_training
from ssod.core.errors import InputError
from ssod.core.hardware import this_machine
from ssod.core.measures import Measures

from .choice import choose
from .derive import baseline_config, label_once_config, measures_of, method_config

COLUMNS = ('baseline', 'label_once', 'method')
SSOD = (sys.executable, '-m', 'ssod.cli')


@dataclass(frozen=True)
class Plan:
    """What is compared, and where.

    Attributes:
        folder: of it all; a run's is ``COLUMN/seedN`` in it.
        configs: of each column that is trained, its config as written to ``COLUMN/COLUMN.py``, loaded.
        seeds: of the runs.
        measures: of the task.
    """

    folder: Path
    configs: dict[str, Config]
    seeds: tuple[int, ...]
    measures: Measures

    def config_file(self, column: str) -> Path:
        """Where a column's config is."""
        return self.folder / column / f'{column}.py'

    def run_dir(self, column: str, seed: int) -> Path:
        """The work dir of a run."""
        return self.folder / column / f'seed{seed}'

    def labels(self, seed: int) -> Path:
        """What the baseline of a seed labels for label-once."""
        return self.run_dir('label_once', seed) / self.measures.labels_name

    def is_done(self, column: str, seed: int) -> bool:
        """Whether a run has been trained and evaluated to its end."""
        return evaluated_at_end(self.run_dir(column, seed), self.configs[column]) is not None

    def threshold(self) -> float:
        """Score above which label-once takes a label: that of the method."""
        return self.configs['label_once'].pseudo_score_thr


def new_plan(cfg: Config, folder: Path, seeds: Sequence[int], skip: Sequence[str], threshold: float | None) -> Plan:
    """Write the configs of the runs and check that each can be trained.

    Args:
        cfg: of the method, from :func:`ssod.apis.load_config`; scaled in place if it says ``auto_scale``.
        folder: where everything goes.
        seeds: of the runs.
        skip: columns that are not wanted.
        threshold: of label-once's labels; None takes the method's.

    Raises:
        InputError: a config or its data are unusable, or ``folder`` has runs with other settings.
    """
    measures = measures_of(cfg)
    if said := settle(cfg, processes=1):  # of which each run is one
        print(said[1], flush=True)
    threshold = measures.threshold(cfg) if threshold is None else threshold
    written = dict(baseline=baseline_config(cfg), method=method_config(cfg))
    if 'label_once' not in skip:
        written['label_once'] = label_once_config(cfg, threshold, folder / 'label_once' / measures.labels_name)
    for name, own in written.items():
        write_config(own, folder / name / f'{name}.py')
    plan = read_plan(folder, seeds, skip)
    check_train_config(plan.configs['baseline'])  # label-once learns from a file that is not there yet
    return plan


def read_plan(folder: Path, seeds: Sequence[int], skip: Sequence[str] = ()) -> Plan:
    """The plan whose configs are in ``folder``.

    Raises:
        InputError: there is none.
    """
    files = {name: folder / name / f'{name}.py' for name in COLUMNS if name not in skip}
    configs = {
        name: load_config(str(path), work_dir=str(path.parent)) for name, path in files.items() if path.is_file()
    }
    if missing := [name for name in ('baseline', 'method') if name not in configs]:
        raise InputError(f'{folder} has no {missing[0]}: train first, or give the --work-dir of the runs')
    return Plan(folder, configs, tuple(seeds), measures_of(configs['method']))


class Slots:
    """Places to train, a GPU or a share of the cores each; as many runs at a time.

    Args:
        jobs: how many places; None is one a GPU, without a GPU one for four cores, two at least.
        chains: runs that could be trained at a time.
    """

    def __init__(self, jobs: int | None, chains: int) -> None:
        machine, listed = this_machine(), os.environ.get('CUDA_VISIBLE_DEVICES')
        names = listed.split(',') if listed else list(map(str, range(machine.gpus)))
        self.gpus, cores = (names if machine.gpus else []), machine.cores
        # Small networks make poor use of many cores.
        self.jobs = min(jobs or len(self.gpus) or min(cores, max(cores // 4, 2)), chains)
        self.threads = max(cores // self.jobs, 1)
        self.free: Queue[int] = Queue()
        for slot in range(self.jobs):
            self.free.put(slot)

    @contextmanager
    def taken(self) -> Iterator[dict[str, str]]:
        """Wait for a place; gives the environment variables of a run on it."""
        slot = self.free.get()
        try:
            yield {'CUDA_VISIBLE_DEVICES': self.gpus[slot % len(self.gpus)]} if self.gpus else {}
        finally:
            self.free.put(slot)


class Trainer:
    """Trains a plan's runs that are not finished, each in a process of its own.

    Args:
        plan: of the runs.
        jobs: of :class:`Slots`.
        stop: after a signal nothing more is started.

    Attributes:
        failed: names of the runs that failed.
    """

    def __init__(self, plan: Plan, jobs: int | None, stop: StopRequest) -> None:
        self.plan, self.stop, self.slots = plan, stop, Slots(jobs, 2 * len(plan.seeds))
        self.failed: list[str] = []

    def train_all(self) -> None:
        """Train; the baseline of a seed, then label-once, and the method of that seed beside them."""
        chains = [
            chain
            for seed in self.plan.seeds
            for chain in ((self.baseline_then_label_once, seed), (self.train, 'method', seed))
        ]
        with ThreadPoolExecutor(self.slots.jobs) as pool:
            for future in [pool.submit(*chain) for chain in chains]:
                future.result()

    def baseline_then_label_once(self, seed: int) -> None:
        """The runs that wait for each other."""
        if not self.train('baseline', seed) or 'label_once' not in self.plan.configs:
            return
        if self.plan.is_done('label_once', seed) or self.label(seed):
            labels = f'data.train.unlabeled.{self.plan.measures.labels_key}={self.plan.labels(seed).resolve()}'
            self.train('label_once', seed, '--cfg-options', labels)

    def train(self, column: str, seed: int, *options: str) -> bool:
        """Train a run to its end, wherever it was; whether it is there."""
        plan, cfg, work_dir = self.plan, self.plan.configs[column], self.plan.run_dir(column, seed)
        with alone_in(work_dir, self.stop):
            if self.stop.received or plan.is_done(column, seed):
                return not self.stop.received
            forget_unevaluated(work_dir, cfg.runner.max_iters)
            command = [*SSOD, 'train', plan.config_file(column), '--work-dir', work_dir, '--seed', seed]
            return self.call([*command, '--auto-resume', *options], work_dir, f'{column} {seed}')

    def label(self, seed: int) -> bool:
        """Let the better of the baseline's two models label the unlabeled images; whether there is a label."""
        plan, labels = self.plan, self.plan.labels(seed)
        measures = plan.measures
        best = choose(plan.run_dir('baseline', seed), plan.configs['baseline'], measures.metric)
        is_old = labels.exists() and labels.stat().st_mtime < best.checkpoint.stat().st_mtime
        if is_old and labels.is_dir():  # maps of two models in one folder would be refused
            shutil.rmtree(labels)
        if is_old or not measures.is_labeled(labels):
            # The method's model, where its config names the images, reads the baseline's two models.
            options = ['--score-thr', plan.threshold(), '--eval-on', best.model, *measures.labeling_options]
            config = plan.config_file(measures.labeled_by)
            command = [*SSOD, 'pseudo-label', config, best.checkpoint, '--out', labels, *options]
            if not self.call(command, labels.parent, f'labels {seed}'):
                return False
        if measures.count_labels(labels, plan.threshold()):
            return True
        print(f'  label_once {seed}: the baseline gives no label above {plan.threshold():g}, not trained', flush=True)
        return False

    def call(self, command: Sequence[object], work_dir: Path, label: str) -> bool:
        """Run a command of ours on a free place; whether it came to its end."""
        with self.slots.taken() as env:
            try:
                run_training(command, env, work_dir, label, self.slots.threads, self.stop)
            except InputError as error:
                self.failed.append(label)
                print(f'{label}: {error}', file=sys.stderr, flush=True)
                return False
        return not self.stop.received
