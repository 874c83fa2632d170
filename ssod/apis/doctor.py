"""What is installed here, whether it trains, and what to do if not."""

import importlib.metadata
import io
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmcv import Config
from mmcv.parallel import scatter
from mmcv.runner import build_optimizer
from mmdet.utils import collect_env
from packaging.requirements import Requirement
from torch import nn
from torch.utils.data import Dataset

import ssod
from ssod.core import TeacherStudent
from ssod.core.errors import InputError, building
from ssod.core.hardware import machine_memory, this_machine
from ssod.core.task import TASKS, Task, task_of
from ssod.data import build_train_loader
from ssod.hooks import autocast_for_test

from .checks import check_datasets
from .config import load_config
from .recipe import effective, settle
from .train import build_train_dataset, prepare, trained_part

SHARED_MEMORY = Path('/dev/shm')
GIB = 2**30
# Other builds of a package that we name; each brings the same module.
BUILDS = {'opencv-python-headless': ('opencv-python', 'opencv-contrib-python', 'opencv-contrib-python-headless')}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        text: what was found.
        advice: what to do; empty where there is nothing to do.
        wrong: whether training cannot work like this.
    """

    text: str
    advice: str = ''
    wrong: bool = False

    def __str__(self) -> str:
        mark = 'WRONG' if self.wrong else 'note' if self.advice else 'ok'
        return f'{mark:6} {self.text}' + (f': {self.advice}' if self.advice else '')


def examine(config: str | None = None, options: dict | None = None) -> Iterator[Finding]:
    """Look at packages, devices and memory, and train a tiny model for one step on each device.

    Args:
        config: a config file to look at as well: its settings, its data, and one step of its training.
        options: settings to override in it.

    Yields:
        What was found, as soon as it is. Nothing is downloaded and no file is written.
    """
    yield from packages()
    yield from devices()
    yield from shared_memory()
    hardware = this_machine()
    for device in ('cpu', *(f'cuda:{gpu}' for gpu in range(hardware.gpus))):
        for name, task in sorted(TASKS.items(), key=lambda item: not item[1].optional):
            advice = 'send this message with the lines above to the authors'
            if device != 'cpu':
                advice = 'see that torch fits the driver and the GPU (docs/install.md)'
            step = 'a training step' if task.optional else 'one training step'
            yield attempt(f'{step} of {name} on {device}', partial(try_out, task, device), advice)
    if config is not None:
        yield from examine_config(config, options or {})


def attempt(what: str, action: Callable[[], str], advice: str) -> Finding:
    """What `action` says of itself, or why it failed."""
    try:
        return Finding(f'{what}: {action()}')
    except InputError as error:  # which says what to do
        return Finding(what, str(error), wrong=True)
    except Exception as error:  # whatever is broken here is what a doctor is asked for
        reason = (str(error).strip() or 'no message').splitlines()[0]
        return Finding(f'{what} fails with {type(error).__name__} ({reason})', advice, wrong=True)


def packages() -> Iterator[Finding]:
    """Versions, and what is missing of the packages that ours needs."""
    env = collect_env()
    compiler = env['MMCV Compiler']
    operators = 'ssod.ops, nothing compiled' if compiler.startswith('none') else f'compiled by {compiler}'
    yield Finding(f'Python {env["Python"].split()[0]}, ssod {ssod.__version__}, numpy {np.__version__}')
    yield Finding(f'torch {env["PyTorch"]}, torchvision {env["TorchVision"]}, OpenCV {env["OpenCV"]}')
    yield Finding(f'mmcv-full {env["MMCV"]} (operators: {operators}), mmdet {env["MMDetection"]}')
    if torch.cuda.is_available() and env['MMCV CUDA Compiler'] == 'not available':
        yield Finding('mmcv-full is compiled for a CPU alone', 'pip uninstall mmcv-full && make install', wrong=True)
    try:
        wanted = importlib.metadata.requires('ssod') or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding('ssod is imported from a folder and not installed', 'pip install -e . in its clone')
        return
    requirements = [Requirement(line) for line in wanted]
    yield from filter(None, map(missing, (r for r in requirements if r.marker is None or r.marker.evaluate())))


def missing(requirement: Requirement) -> Finding | None:
    """A package that is not there or too old; None if all is well."""
    for name in (requirement.name, *BUILDS.get(requirement.name, ())):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if requirement.specifier.contains(version, prereleases=True):
            return None
        return Finding(f'{name} is {version}', f'pip install "{requirement}"', wrong=True)
    return Finding(f'{requirement.name} is not installed', f'pip install "{requirement}"', wrong=True)


def devices() -> Iterator[Finding]:
    """Processors and their memory, and why a GPU that may be here is not used."""
    hardware = this_machine()
    yield Finding(f'{hardware.cores} CPU cores, {machine_memory() / GIB:.1f} GiB of memory')
    for gpu in range(hardware.gpus):
        facts = torch.cuda.get_device_properties(gpu)
        yield Finding(f'GPU {gpu}: {facts.name}, {facts.total_memory / GIB:.1f} GiB of memory')
    if hardware.gpus:
        return
    driver = Path('/dev/nvidiactl').exists() or shutil.which('nvidia-smi') is not None
    if driver and torch.version.cuda is None:
        yield Finding('there is a GPU, and torch is a build for CPUs', 'install a torch for CUDA (docs/install.md)')
    elif driver:
        yield Finding(
            f'there is a GPU, and torch for CUDA {torch.version.cuda} cannot use it',
            'update the driver, or install a torch for its CUDA (nvidia-smi shows both)',
        )
    else:
        yield Finding('no GPU: the CPU trains')


def shared_memory() -> Iterator[Finding]:
    """Room for the batches that loader processes hand over."""
    if not SHARED_MEMORY.is_dir():
        return
    free, total = shutil.disk_usage(SHARED_MEMORY).free, shutil.disk_usage(SHARED_MEMORY).total
    text = f'{free / GIB:.2f} of {total / GIB:.2f} GiB of shared memory ({SHARED_MEMORY}) are free'
    if free < GIB:
        more = 'loader processes may end with a bus error: start the container with --shm-size=8g, or set '
        yield Finding(text, f'{more}data.workers_per_gpu=0')
    else:
        yield Finding(text)


def try_out(task: Task, device: str) -> str:
    """One training step of the task's tiny model."""
    model, batch = task.trial()
    return one_step(model, batch, device, dict(type='SGD', lr=0.01))


def examine_config(path: str, options: dict) -> Iterator[Finding]:
    """A config, its files and images, and one step of its training, on the GPU if there is one."""
    state: dict = {}

    def read() -> str:
        state['cfg'] = load_config(path, options)
        said = settle(state['cfg'], processes=1)
        return 'its settings fit together, its files are there' + (f'; {said[1]}' if said else '')

    def look() -> str:
        cfg = state['cfg']
        with redirect_stdout(io.StringIO()):  # pycocotools talks
            state['data'] = build_train_dataset(cfg)
        with building('model'):
            state['model'] = task_of(cfg).build_model(cfg.model)
        check_datasets(task_of(cfg), state['data'], task_of(cfg).num_classes(state['model']))
        sources = getattr(state['data'], 'sources', {'labeled': state['data']})
        return ', '.join(f'{len(source)} {name}' for name, source in sources.items()) + ' images'

    def step() -> str:
        return train_once(state['cfg'], state['data'], state['model'])

    for what, action in (
        (path, read),
        (f'data and model of {path}', look),
        (f'training of {path}, one process', lambda: effective(state['cfg'], state['data'], processes=1)),
        (f'one training step of {path}', step),
    ):
        finding = attempt(what, action, 'see its data, and data.samples_per_gpu if memory ran out')
        yield finding
        if finding.wrong:
            return


def train_once(cfg: Config, dataset: Dataset, model: nn.Module) -> str:
    """One step of a config's training, on weights as they are drawn; unlabeled images count from the start."""
    prepare(cfg, model)
    model.train()
    with building('data'):
        loader = build_train_loader(dataset, cfg.data, seed=0)
    start = time.perf_counter()
    batch = next(iter(loader))
    reading = time.perf_counter() - start
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    with building('fp16'):
        autocast_for_test(model.to(device), cfg.get('fp16'))
    return f'batch {reading:.2f} s, {one_step(model, batch, device, cfg.optimizer)}'


def one_step(model: nn.Module, batch: dict, device: str, optimizer: dict) -> str:
    """Train on one batch; the seconds of its parts, and on a GPU the memory it takes.

    Raises:
        InputError: the loss is no finite number.
    """
    model = model.to(device)
    with building('optimizer'):
        built = build_optimizer(trained_part(model), optimizer)
    gpu = torch.device(device).index if device != 'cpu' else -1
    batch = scatter(batch, [gpu])[0]
    times = [now(device)]
    if isinstance(model, TeacherStudent):
        model.update_teacher(0)
    loss = model.train_step(batch, built)['loss']
    times.append(now(device))
    loss.backward()
    times.append(now(device))
    built.step()
    times.append(now(device))
    value = float(loss.detach())
    if not math.isfinite(value):
        raise InputError(f'the loss is {value}: lower optimizer.lr, or look at the boxes of the data')
    parts = zip(('forward', 'backward', 'update'), np.diff(times), strict=True)
    memory = f', {torch.cuda.max_memory_allocated(gpu) / GIB:.1f} GiB' if device != 'cpu' else ''
    return f'loss {value:.2f}, ' + ', '.join(f'{name} {seconds:.2f} s' for name, seconds in parts) + memory


def now(device: str) -> float:
    """Seconds, when the device has done what it was given."""
    if device != 'cpu':
        torch.cuda.synchronize(device)
    return time.perf_counter()
