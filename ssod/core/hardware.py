"""What a machine has to train on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Hardware:
    """What settings of a training follow from.

    Attributes:
        gpus: how many; 0: a CPU trains.
        memory: bytes of the smallest GPU, of the machine without one.
        cores: of the CPU, those that this process may use.
    """

    gpus: int
    memory: int
    cores: int

    def __str__(self) -> str:
        cores = f'{self.cores} CPU cores' if self.cores > 1 else '1 CPU core'
        gib = f'{self.memory / 2**30:.0f} GiB'
        if not self.gpus:
            return f'{cores} with {gib} and no GPU'
        return f'{self.gpus} GPUs with {gib} each, {cores}' if self.gpus > 1 else f'a GPU with {gib}, {cores}'


_as_on_a_gpu = False


def launch_bound(device: torch.device) -> bool:
    """Whether launching kernels, and waiting for their results, is what a step costs on a device: all but a CPU.

    Where it is, the images of a batch are worked on at once, padded to one length. A CPU works on one after another:
    it has no launches to save, and its caches like small tensors. This is the one place that decides.
    """
    return _as_on_a_gpu or device.type != 'cpu'


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Within the block a CPU computes as a GPU would: to count kernels, and to compare results."""
    global _as_on_a_gpu
    before, _as_on_a_gpu = _as_on_a_gpu, True
    try:
        yield
    finally:
        _as_on_a_gpu = before


def this_machine() -> Hardware:
    """The hardware that torch finds here."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    memory = [torch.cuda.get_device_properties(gpu).total_memory for gpu in range(gpus)]
    return Hardware(gpus, min(memory, default=machine_memory()), len(os.sched_getaffinity(0)))


def machine_memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
