"""The same BatchNorm statistics on every rank."""

import torch
import torch.distributed as dist
from mmcv.runner import HOOKS, Hook, get_dist_info
from mmcv.runner.dist_utils import allreduce_params
from torch import nn


@HOOKS.register_module()
class SyncBuffersEachIterHook(Hook):
    """After each iteration averages, over the ranks, the running statistics of BatchNorm layers that train.

    DDP only copies rank 0's statistics before the next forward pass, which is after the teacher's update: teachers
    (and the checkpoint) would differ from rank to rank. Frozen layers cost nothing here.
    """

    def after_train_iter(self, runner) -> None:
        """Average the statistics."""
        if get_dist_info()[1] == 1:
            return
        layers = [m for m in runner.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
        allreduce_params([b for m in layers for b in (m.running_mean, m.running_var) if b is not None])
        # A rank without a labeled image has counted fewer batches.
        counters = [m.num_batches_tracked for m in layers if m.num_batches_tracked is not None]
        if counters:
            highest = torch.stack(counters)
            dist.all_reduce(highest, op=dist.ReduceOp.MAX)
            for counter, value in zip(counters, highest, strict=True):
                counter.copy_(value)
