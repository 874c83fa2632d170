"""The benchmarks are no installed package: they are found in the root of the repository."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


@pytest.fixture
def in_own_process():
    """``in_own_process(function)`` calls it in a process that ends: the pretended device stays for good."""

    def run(function: Callable[[], None]) -> None:
        call = lambda rank: function()  # noqa: E731  start_processes passes the rank
        torch.multiprocessing.start_processes(call, nprocs=1, start_method='fork')

    return run
