"""A device that is made of the CPU and treats the host as a GPU does: only torch, so that peers run on it, too.

Tensors on it are :class:`OnDevice`: they say ``device='pretend:0'``, so code that asks for the device takes the path of
an accelerator, and hold an ordinary tensor that computes. While a :class:`Watch` is open it counts what a GPU would do
and refuses what a GPU would refuse:

- kernels: operators with a tensor on the device, but no views and no allocations. One operator may be several launches
  on a GPU (a sort, say), or one for all tensors of a list (``_foreach_*``).
- waits: operators that make the host wait for the device, because it reads a value or needs a shape.
- uploads: copies from the host for which it waits, those without ``non_blocking``.

It cannot see what is no operator of PyTorch (a compiled extension of the host, streams, whether memory is pinned), the
order of rounding on a GPU, or dtypes that a GPU's kernel lacks. Autocast does not know the device.

Importing this registers the device with PyTorch for the rest of the process, which has no other accelerator then.
"""

import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.optim import optimizer as optimizers
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils as foreach
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend


class Backend(_DummyBackendModule):
    """What PyTorch asks a device for; it is not chosen where a program takes what is available."""

    def is_available(self) -> bool:
        """False: `DataParallel` would move the model there."""
        return False

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """What ``torch.autocast`` asks, also where it is to be off."""
        return [torch.float16, torch.bfloat16]


_setup_privateuseone_for_python_backend('pretend', Backend())
DEVICE = torch.device('pretend', 0)

ALLOCATIONS = {
    'empty', 'empty_like', 'empty_strided', 'new_empty', 'new_empty_strided', 'resize_', 'set_', 'lift_fresh',
    '_unsafe_view', '_reshape_alias', 'sym_size', 'sym_stride', 'is_same_size', 'record_stream',
}  # fmt: skip
READS = {'_local_scalar_dense', 'equal', 'is_nonzero', '_linalg_check_errors'}
SHAPES = {
    'nonzero', 'masked_select', '_unique', '_unique2', 'unique_dim', 'unique_consecutive', 'unique_dim_consecutive',
    'bincount', 'nms',
}  # fmt: skip
COPIES = {'copy_', '_to_copy', '_copy_from', '_foreach_copy_'}
INDEXING = {'index', 'index_put', 'index_put_', '_index_put_impl_', '_unsafe_index', '_unsafe_index_put'}
LISTS_OF_ONE_DEVICE = {'cat', 'stack'}


class DeviceMismatch(RuntimeError):
    """Tensors of host and device met in an operator, which a GPU refuses."""


class HostWait(RuntimeError):
    """A value was read from the device where that is not allowed."""


class OnDevice(Tensor):
    """A tensor on the device; ``host`` is the tensor that holds its values."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> 'OnDevice':
        """Wrap a plain tensor, without a copy."""
        layout = dict(strides=host.stride(), storage_offset=host.storage_offset(), dtype=host.dtype)
        made = Tensor._make_wrapper_subclass(cls, host.shape, **layout, device=DEVICE)
        made.host = host
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """The operator on the host's tensors; nobody counts outside of a :class:`Watch`."""
        return compute(func, args, kwargs or {})

    def __repr__(self) -> str:
        return f'OnDevice({self.host!r})'

    def tolist(self) -> Any:
        """As of a tensor on a GPU: a copy to the host first; PyTorch refuses it for subclasses."""
        return self.cpu().tolist()

    def new_tensor(self, data: Any, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
        """As of a tensor on a GPU: made on the host and copied; PyTorch's would not tell the mode of the copy."""
        return torch.tensor(data, dtype=dtype or self.dtype).to(device or self.device)

    def data_ptr(self) -> int:
        """Where the values are: the wrapper has no memory."""
        return self.host.data_ptr()


# What PyTorch and mmcv choose for tensors on a GPU: one operator for all tensors of a list.
for types in (optimizers._foreach_supported_types, foreach._foreach_supported_types):
    if OnDevice not in types:
        types.append(OnDevice)


def compute(func: Any, args: tuple, kwargs: dict) -> Any:
    """Run an operator on the host's tensors; its results are on the device that a GPU's would be on."""
    wanted = kwargs.get('device')
    inputs = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, OnDevice)]
    own_args, own_kwargs = tree_map(on_host, (args, kwargs))
    if wanted is not None:
        own_kwargs['device'] = torch.device('cpu')
    out = func(*own_args, **own_kwargs)
    to_device = torch.device(wanted).type == DEVICE.type if wanted is not None else bool(inputs)
    if to_device and base_name(func) != '_local_scalar_dense':
        out = tree_map(lambda value: OnDevice(value) if type(value) is Tensor else value, out)
    if inputs and to_device and any(returned.alias_info for returned in func._schema.returns):
        return return_and_correct_aliasing(func, args, kwargs, out)
    return out


def on_host(value: Any) -> Any:
    """A tensor's values as a plain tensor; anything else as it is."""
    return value.host if isinstance(value, OnDevice) else value


def base_name(func: Any) -> str:
    """'add_' of ``aten.add_.Tensor``."""
    return func._schema.name.split('::')[1]


class Factories(TorchFunctionMode):
    """What makes a tensor on the host and copies it: ``torch.tensor``, ``torch.as_tensor``, an index that is a list."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """The function; its copy as an operator of its own."""
        kwargs = kwargs or {}
        wanted = kwargs.get('device')
        if func in (torch.tensor, torch.as_tensor) and wanted is not None and torch.device(wanted).type == DEVICE.type:
            return func(*args, **{**kwargs, 'device': 'cpu'}).to(wanted)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], OnDevice):
            index = args[1]
            index = tuple(map(listed, index)) if isinstance(index, tuple) else listed(index)
            args = (args[0], index, *args[2:])
        return func(*args, **kwargs)


def listed(index: Any) -> Any:
    """An index that is a list or a range as a tensor on the host; any other as it is."""
    return torch.tensor(index) if isinstance(index, (list, range)) and index else index


class Watch(TorchDispatchMode):
    """Counts what the device and the host do, and refuses what a GPU would refuse.

    Args:
        part: names the part of the step that is running; its counts go there.
        reads: names of functions, ``package.module.function``, during which a value may be read from the device; None:
            all may.

    Attributes:
        counts: (part, 'kernels', 'waits' or 'uploads', operator, place in the source) -> how often.

    Raises:
        DeviceMismatch: by the operator that a GPU would refuse.
        HostWait: by ``.item()``, ``.tolist()``, ``.cpu()``, ``bool(...)`` outside of ``reads``.
    """

    def __init__(self, part: Callable[[], str] = lambda: '', reads: Collection[str] | None = None) -> None:
        super().__init__()
        self.part = part
        self.reads = reads
        self.counts: Counter[tuple[str, str, str, str]] = Counter()
        self.used: set[str] = set()
        self._factories = Factories()

    def __enter__(self) -> 'Watch':
        self._factories.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._factories.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Look at an operator, then run it."""
        kwargs = kwargs or {}
        tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
        on_device = any(isinstance(value, OnDevice) for value in tensors)
        wanted = kwargs.get('device')
        to_device = wanted is not None and torch.device(wanted).type == DEVICE.type
        if on_device or to_device:
            self._look(func, args, kwargs, tensors, on_device)
        return compute(func, args, kwargs)

    def _look(self, func: Any, args: tuple, kwargs: dict, tensors: list[Tensor], on_device: bool) -> None:
        name = base_name(func)
        from_host = [value for value in tensors if not isinstance(value, OnDevice)]
        generator = kwargs.get('generator')
        if generator is not None and generator.device.type == 'cpu':
            raise DeviceMismatch(f'{func}: a generator of the CPU for a tensor on the device, at {place()}')
        if from_host and on_device and name not in COPIES and not self._may_meet(func, name, args, kwargs):
            raise DeviceMismatch(f'{func}: tensors of the host and of the device meet, at {place()}')
        self._count_transfer(name, args, kwargs, from_host, on_device)
        reads = name in READS
        if reads or waits_for_shape(func, name, args, kwargs):
            self._count('waits', name)
            if reads:
                self._read(name)
        if not func.is_view and name not in ALLOCATIONS | READS:
            self._count('kernels', name)

    def _may_meet(self, func: Any, name: str, args: tuple, kwargs: dict) -> bool:
        """Whether a GPU takes the host's tensors of this call: indices, and scalars in elementwise operators."""
        if name in INDEXING:
            values = args[2:3] if name != 'index' else ()
            return isinstance(args[0], OnDevice) and all(isinstance(v, OnDevice) or v.dim() == 0 for v in values)
        scalars = all(
            value.dim() == 0
            for value in tree_flatten((args, kwargs))[0]
            if isinstance(value, Tensor) and not isinstance(value, OnDevice)
        )
        elementwise = torch.Tag.pointwise in func.tags or name.startswith('_foreach') or name.startswith('masked_fill')
        return scalars and elementwise and name not in LISTS_OF_ONE_DEVICE

    def _count_transfer(self, name: str, args: tuple, kwargs: dict, from_host: list[Tensor], on_device: bool) -> None:
        """Count copies between host and device for which the host waits."""
        if name == '_to_copy':
            wanted = kwargs.get('device')
            goes_to = torch.device(wanted).type if wanted is not None else args[0].device.type
            if goes_to == args[0].device.type or kwargs.get('non_blocking'):
                return
            self._count('uploads' if goes_to == DEVICE.type else 'waits', 'to')
            if goes_to == 'cpu':
                self._read('to the host')
        elif name == 'copy_' and from_host and on_device and not (kwargs.get('non_blocking') or (args[2:] and args[2])):
            down = isinstance(args[1], OnDevice)
            self._count('waits' if down else 'uploads', 'copy_')
            if down:
                self._read('copy_ to the host')
        elif name in INDEXING and from_host:
            self._count('uploads', name)

    def _read(self, what: str) -> None:
        """Refuse a read that is not allowed by the name of a function that is running."""
        if self.reads is None:
            return
        running = {function_name(frame) for frame in frames()}
        allowed = running & set(self.reads)
        self.used |= allowed
        if not allowed:
            raise HostWait(f'{what}: the host reads a value from the device, at {place()}')

    def _count(self, kind: str, name: str) -> None:
        self.counts[self.part(), kind, name, place()] += 1

    def total(self, kind: str) -> int:
        """How many 'kernels', 'waits' or 'uploads' there were."""
        return sum(number for (_, of, _, _), number in self.counts.items() if of == kind)


def waits_for_shape(func: Any, name: str, args: tuple, kwargs: dict) -> bool:
    """Whether the result's shape depends on values, which the host has to wait for."""
    if name in SHAPES:
        return True
    if name == 'repeat_interleave':
        return kwargs.get('output_size') is None
    if name not in INDEXING:
        return False
    masks = [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
    fill = name != 'index' and args[2].numel() == 1 and not (args[3:] and args[3])  # becomes masked_fill
    return any(isinstance(mask, OnDevice) for mask in masks) and not fill


TORCH, HERE = torch.__path__[0], __file__
PACKAGES = sysconfig.get_paths()['purelib']


def frames() -> Iterator[FrameType]:
    """The functions that are running, without this file's and PyTorch's, the innermost first."""
    frame = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith((TORCH, HERE, '<')):
            yield frame
        frame = frame.f_back


def function_name(frame: FrameType) -> str:
    """'mmdet.core.mask.mask_target.mask_target', say."""
    return f'{frame.f_globals.get("__name__", "")}.{frame.f_code.co_name}'


def place() -> str:
    """Function and line that run the operator; empty in a backward pass."""
    frame = next(frames(), None)
    return f'{function_name(frame)}:{frame.f_lineno}' if frame else ''
