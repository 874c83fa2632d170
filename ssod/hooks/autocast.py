"""A model's networks under torch's autocast, by hooks that can be taken out again."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class AutocastHandle:
    """Takes the autocast of :func:`autocast_networks` back."""

    def __init__(self, handles: list[RemovableHandle]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Leave the model as it was; doing so again changes nothing."""
        for handle in self._handles:
            handle.remove()


def autocast_networks(model: nn.Module, device: str, dtype: torch.dtype) -> AutocastHandle:
    """Run backbone, neck and heads of a detector or segmentor (student's and teacher's) under autocast.

    What they return is float32 again, so that RoIAlign, decoding, assignment and losses are float32 arithmetic. A
    backbone hands its maps to its neck as they are. Copies of the model are under autocast, too. A head whose
    ``forward`` is called by name, not the head itself, computes in float32: MMDetection's one-stage heads and
    MMSegmentation's heads in inference.

    Args:
        model: is given hooks; its modules, methods and checkpoints stay as they are.
        device: 'cuda' or 'cpu'.
        dtype: half precision.

    Returns:
        A handle whose ``remove()`` takes the hooks out again.
    """
    to_neck, to_all = AutocastHooks(device, dtype, False), AutocastHooks(device, dtype, True)
    handles = []
    for network, has_neck in find_networks(model):
        hooks = to_neck if has_neck else to_all
        handles.append(network.register_forward_pre_hook(hooks.enter))
        handles.append(network.register_forward_hook(hooks.leave, always_call=True))
    return AutocastHandle(handles)


def find_networks(module: nn.Module) -> Iterator[tuple[nn.Module, bool]]:
    """The modules named ``backbone``, ``neck`` or ``*_head`` inside ``module``, and whether it is followed by a neck.

    One that holds ``*_head`` itself, as a RoI head does, is looked into instead. Of a list the items count, too.
    """
    for name, child in module.named_children():
        is_network = name in ('backbone', 'neck') or name.endswith('_head')
        if not is_network or any(inner.endswith('_head') for inner, _ in child.named_children()):
            yield from find_networks(child)
            continue
        has_neck = name == 'backbone' and isinstance(getattr(module, 'neck', None), nn.Module)
        items = child if isinstance(child, (nn.ModuleList, nn.Sequential)) else ()
        for network in (child, *items):
            yield network, has_neck


class AutocastHooks:
    """Enters autocast before a module's forward and leaves it after, be it by an error.

    Holds no module: a copy of the model gets a copy of the hooks, which serves the copied modules.

    Args:
        device, dtype: of the autocast.
        float32: give the results of the outermost module back in float32.
    """

    def __init__(self, device: str, dtype: torch.dtype, float32: bool) -> None:
        self.settings = device, dtype, float32
        self._local = threading.local()

    def __reduce__(self) -> tuple:
        return type(self), self.settings  # what is entered belongs to a call that runs, not to a copy

    @property
    def _entered(self) -> list[tuple[nn.Module, torch.autocast]]:
        """Calls that run in this thread, the innermost last."""
        return vars(self._local).setdefault('entered', [])

    def enter(self, module: nn.Module, args: tuple) -> None:
        """Before the forward."""
        device, dtype, _ = self.settings
        context = torch.autocast(device, dtype)
        context.__enter__()
        self._entered.append((module, context))

    def leave(self, module: nn.Module, args: tuple, result: Any) -> Any:
        """After the forward; ``result`` is None when it failed."""
        entered = self._entered
        if not entered or entered[-1][0] is not module:  # another hook failed before `enter`
            return None
        entered.pop()[1].__exit__(None, None, None)
        return to_float32(result) if self.settings[-1] and not entered else None


def to_float32(value: Any) -> Any:
    """Tensors in half precision, nested in tuples, named tuples, lists and dicts, as float32; all else as it is."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if isinstance(value, Mapping):
        return type(value)({key: to_float32(item) for key, item in value.items()})
    if isinstance(value, (tuple, list)):
        items = [to_float32(item) for item in value]
        return type(value)(*items) if hasattr(value, '_fields') else type(value)(items)
    return value
