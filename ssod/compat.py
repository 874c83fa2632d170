"""What mmcv-full 1.7 and mmdet 2.28 need to run on PyTorch 2.x: each shim with its reason."""

import os
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from mmcv.parallel import MMDistributedDataParallel
from mmcv.parallel import _functions as mmcv_functions

from ssod.core.processes import die_with_parent

# How long a process waits for the others before it gives up. They wait while rank 0 computes the metrics: on LVIS, with
# 1200 classes, this takes more than the 10 minutes that NCCL would wait.
TIMEOUT = timedelta(hours=4)
# Bound once, before it is replaced below. CUDA copies have to be ordered with the stream of the current device.
_torch_get_stream = mmcv_functions._get_stream


def mend() -> None:
    """Mend what would crash. Calling it again changes nothing."""
    mmcv_functions._get_stream = get_stream
    if not hasattr(np, 'int'):
        np.int = int  # gone since numpy 1.24; mmdet 2.28 casts with it in `get_cat_ids` and in two of its samplers
    allow_numpy_scalars_in_checkpoints()


def get_stream(device: int | torch.device) -> Any:
    """The background copy stream of a CUDA device: mmcv passes an ``int``, torch >= 2.1 wants a ``torch.device``."""
    if isinstance(device, int):
        device = torch.device('cuda', device)
    return _torch_get_stream(device)


def allow_numpy_scalars_in_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)``, the default since torch 2.6, read mmcv's checkpoints.

    Their ``meta`` may hold numpy scalars (a best score); nothing that could run code is allowed.
    """
    multiarray = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray
    dtypes = {type(np.dtype(code)) for code in '?bBhHiIlLqQefd'}
    torch.serialization.add_safe_globals(
        [np.ndarray, np.dtype, multiarray.scalar, multiarray._reconstruct, bytes, *dtypes]
    )


class DistributedDataParallel(MMDistributedDataParallel):
    """mmcv's DDP, on GPUs and on CPUs (gloo).

    mmcv's own reads an attribute that torch dropped when it runs ``forward``, and without a GPU it hands
    DataContainers to the model unopened.
    """

    def _run_ddp_forward(self, *inputs: Any, **kwargs: Any) -> Any:
        inputs, kwargs = self.scatter(inputs, kwargs, self.device_ids or [-1])
        return self.module(*inputs[0], **kwargs[0])

    def train_step(self, *inputs: Any, **kwargs: Any) -> dict:
        """Run the module's ``train_step`` on this rank's batch; on a CPU open its DataContainers first."""
        if not self.device_ids:
            inputs, kwargs = self.scatter(inputs, kwargs, [-1])
            inputs, kwargs = inputs[0], kwargs[0]
        return super().train_step(*inputs, **kwargs)


def init_distributed() -> None:
    """Join the process group that ``torchrun`` describes in the environment: NCCL with GPUs, gloo without.

    mmcv's ``init_dist`` divides by the number of GPUs, which may be none. The processes wait for each other for
    ``TIMEOUT``. A process of torchrun is killed when torchrun ends.

    Raises:
        ValueError: not started by torchrun, or more processes on this machine than GPUs.
    """
    if 'RANK' not in os.environ:
        raise ValueError('not in the environment of torchrun: use tools/dist_train.sh or torchrun')
    if 'TORCHELASTIC_RUN_ID' in os.environ:  # the parent is torchrun
        die_with_parent()
    if not torch.cuda.is_available():
        dist.init_process_group('gloo', timeout=TIMEOUT, **store_of_attempt())
        return
    processes, num_gpus = int(os.environ['LOCAL_WORLD_SIZE']), torch.cuda.device_count()
    if processes > num_gpus:
        raise ValueError(f'{processes} processes on this machine, which has {num_gpus} GPU(s): start at most as many')
    torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    dist.init_process_group('nccl', timeout=TIMEOUT, **store_of_attempt())


def store_of_attempt() -> dict[str, Any]:
    """Where processes that torchrun has started anew meet: not where those before them did; settings of torch's.

    torchrun keeps one store for all attempts, and torch puts no attempt's number before its keys. A process that comes
    early finds there the address of one that has ended, and fails: 'Connection refused'.
    """
    if os.environ.get('TORCHELASTIC_USE_AGENT_STORE') != 'True':
        return {}
    host, port = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    store = dist.TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=TIMEOUT)
    store = dist.PrefixStore(f'attempt_{os.environ["TORCHELASTIC_RESTART_COUNT"]}', store)
    return dict(store=store, rank=int(os.environ['RANK']), world_size=int(os.environ['WORLD_SIZE']))
