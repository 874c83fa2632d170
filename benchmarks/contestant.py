"""A process of its own for each implementation that is timed: built once, then run whenever the benchmark asks.

The benchmark starts ``python ADAPTER.py KIND CASE_DIR ...`` and speaks JSON, a line per message: the contestant says
that it is ready; each line it reads is one run, each line it answers the run's figures. So several contestants take
turns in one benchmark, and the machine's moods fall on all of them alike.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Dataset

from benchmarks.measuring import Parts, peak_memory, reset_peak_memory

# One run; it returns its figures (losses, counts).
Run = Callable[[], dict]
Build = Callable[[Path, dict, Parts], Run]


def serve(builders: dict[str, Build]) -> None:
    """Build what the command line names, then run it for every line of the standard input.

    Args:
        builders: by kind, a function of the case's folder, its settings and the clock, which returns one run; a run
            returns its figures (losses, counts).
    """
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    kind, folder = sys.argv[1], Path(sys.argv[2])
    if kind not in builders:
        raise SystemExit(f'this contestant does not do {kind}')
    case = json.loads((folder / 'case.json').read_text())
    parts = Parts(case['device'] == 'cuda')
    torch.set_num_threads(case['threads'])
    run = builders[kind](folder, case, parts)
    print(json.dumps(dict(memory=reset_peak_memory(parts.cuda))), file=answers)
    for line in sys.stdin:
        trace = line.strip()
        print(json.dumps(profiled(run, parts, trace) if trace else timed(run, parts, case)), file=answers)


def timed(run: Run, parts: Parts, case: dict) -> dict:
    """One run: seconds (wall, CPU, by part), bytes, and what it returns."""
    reset_peak_memory(parts.cuda)
    torch.manual_seed(case['seed'])
    wall, cpu = time.perf_counter(), time.process_time()
    figures, seconds = parts.measure(run)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return dict(wall=wall, cpu=cpu, parts=seconds, peak=peak_memory(parts.cuda), figures=figures)


def profiled(run: Run, parts: Parts, trace: str) -> dict:
    """One run under the profiler: its Chrome trace goes to a file; the costliest operators, a GPU's busy share."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if parts.cuda else [])]
    with profile(activities=activities) as profiler:
        begin = time.perf_counter()
        parts.measure(run)
        wall = time.perf_counter() - begin
    profiler.export_chrome_trace(trace)
    averages = profiler.key_averages()
    device = 'self_device_time_total' if parts.cuda else 'self_cpu_time_total'
    kernels = [e for e in averages if e.device_type == DeviceType.CUDA and not e.is_user_annotation]
    busy = sum(kernel.self_device_time_total for kernel in kernels) / 1e6 / wall if parts.cuda else None
    table = averages.table(sort_by=device, row_limit=25, max_name_column_width=60)
    return dict(table=table, busy=busy)


def load_weights(model: nn.Module, folder: Path) -> None:
    """The case's weights into student and teacher."""
    weights = torch.load(folder / 'weights.pth')
    model.student.load_state_dict(weights)
    model.teacher.load_state_dict(weights)


def peer_loader(dataset: Dataset, lengths: list[int], collate: Callable, case: dict) -> DataLoader:
    """A peer's data set, whose sources follow one another, in random batches of the case's number of either kind."""
    batches = fixed_batches(lengths, case['images'], case['seed'])
    return DataLoader(dataset, batch_sampler=batches, num_workers=case['workers'], collate_fn=collate)


def fixed_batches(lengths: list[int], images: list[int], seed: int) -> Iterator[list[int]]:
    """Endless batches of random indices, ``images[k]`` of source k, whose ``lengths[k]`` images follow the others'."""
    rng = random.Random(seed)
    starts = [sum(lengths[:k]) for k in range(len(lengths))]
    while True:
        yield [starts[k] + rng.randrange(lengths[k]) for k, number in enumerate(images) for _ in range(number)]


def loading(loader: DataLoader, case: dict) -> Run:
    """Some batches, ready to be moved to the device."""
    batches = iter(loader)
    return lambda: dict(batches=len(list(islice(batches, case['batches']))))


def detecting(detect: Callable[[torch.Tensor, Any], int], images: torch.Tensor, metas: list) -> Run:
    """Detection on images (B, 3, H, W), one after another; ``detect`` gives the number of boxes on one."""

    @torch.no_grad()
    def run() -> dict:
        return dict(detections=sum(detect(image, meta) for image, meta in zip(images.split(1), metas, strict=True)))

    return run


class PlainOptimizer:
    """Backward and step of a peer, as its runner does them: the loss scaled in float16, no clipping."""

    def __init__(self, optimizer: torch.optim.Optimizer, parts: Parts, amp: str | None) -> None:
        self.optimizer = optimizer
        self.parts = parts
        self.scaler = torch.amp.GradScaler(enabled=amp == 'float16')

    def update(self, loss: torch.Tensor) -> None:
        """Differentiate ``loss`` and step."""
        self.optimizer.zero_grad()
        with self.parts('backward'):
            self.scaler.scale(loss).backward()
        with self.parts('optimizer'):
            self.scaler.step(self.optimizer)
            self.scaler.update()
