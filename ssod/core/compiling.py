"""Backbone and neck as compiled graphs, one for each size of a batch: ``compile`` of a config."""

import os
import shutil
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .errors import InputError

PARTS = ('backbone', 'neck')
BACKENDS = ('inductor', 'cudagraphs', 'aot_eager', 'eager')  # the last two launch what is launched without them
MOST_BUCKETS = 8
GRAPHS = 8 * MOST_BUCKETS  # of one forward method, by networks, sizes and numbers of images; then PyTorch gives up


def check_compile(settings: Any, buckets: Sequence) -> None:
    """Refuse settings that would fail in the first iteration, or compile again and again.

    Args:
        settings: ``compile`` of a config.
        buckets: ``data.size_buckets``.

    Raises:
        InputError: it is not ``dict(backend=...)`` with one of ``BACKENDS``; there are no buckets, or more than eight;
            the backend needs a C++ compiler or a GPU that is not there.
    """
    if not settings:
        return
    backend = settings.get('backend') if isinstance(settings, dict) else settings
    if not isinstance(settings, dict) or backend not in BACKENDS or len(settings) > 1:
        raise InputError(f'compile is False or dict(backend=...) with one of {", ".join(BACKENDS)}; got {settings!r}')
    if not 1 <= len(buckets) <= MOST_BUCKETS:
        raise InputError(
            f'compile makes a graph for each size of a batch: name 1 to {MOST_BUCKETS} sizes, (width, height), in '
            f'data.size_buckets; it has {len(buckets)}'
        )
    on_cpu = not torch.cuda.is_available()
    if backend == 'cudagraphs' and on_cpu:
        raise InputError("compile: the backend 'cudagraphs' is for a GPU, and there is none: leave compile out")
    if backend == 'inductor' and on_cpu and not any(map(shutil.which, (os.environ.get('CXX', 'g++'), 'clang++'))):
        raise InputError(
            "compile: the backend 'inductor' needs a C++ compiler on a CPU: install g++ and set CXX, or leave it out"
        )


def compile_networks(model: nn.Module, backend: str) -> None:
    """Compile the backbones and necks in a model, in place; names of weights and checkpoints stay.

    A graph is for one size of a batch, so the sizes should be few: ``data.size_buckets``.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
    for name, module in model.named_modules():
        if name.rpartition('.')[2] in PARTS:
            module.compile(backend=backend, dynamic=False)
