"""Bytes of the tensors that are alive while a step runs, and their most by part, on a CPU; only torch.

What a GPU's allocator would hand out: each storage counts from the operator that made it until nothing holds it.
Workspaces of kernels and the fragments of an allocator are not in it.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class LiveBytes(TorchDispatchMode):
    """Counts bytes of storages while it is open.

    Args:
        part: names the part of the step that is running; its most bytes go there.

    Attributes:
        now: bytes alive.
        peak: part -> most bytes that were alive in it, all that others have made included.
    """

    def __init__(self, part: Callable[[], str] = lambda: '') -> None:
        super().__init__()
        self.part = part
        self.now = 0
        self.peak: dict[str, int] = {}
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """The operator; its results count."""
        out = func(*args, **(kwargs or {}))
        self.add(out)
        return out

    def add(self, values: Any) -> None:
        """Count the tensors in nested containers, those of a model say, from now on."""
        for value in tree_flatten(values)[0]:
            if isinstance(value, Tensor):
                self._add(value.untyped_storage())
        part = self.part()
        self.peak[part] = max(self.peak.get(part, 0), self.now)

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.now += storage.nbytes()
        weakref.finalize(storage, self._remove, key, storage.nbytes())

    def _remove(self, key: int, nbytes: int) -> None:
        self._known.discard(key)
        self.now -= nbytes
