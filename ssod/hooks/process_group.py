"""What processes tell each other beside the gradients: small things that no GPU has to wait for."""

import weakref

import torch
import torch.distributed as dist

from ssod.compat import TIMEOUT

# The default group and the one beside it. torch keeps them until they are destroyed; a group kept longer would wait, in
# a forked process, for threads that this process does not have.
_made: tuple[weakref.ref, weakref.ref] | None = None


def cpu_group() -> dist.ProcessGroup:
    """The gloo group of all ranks, beside the one of the gradients; all ranks make it together, at the first call."""
    global _made
    if _made is None or _made[0]() is not dist.group.WORLD:
        group = dist.new_group(backend='gloo', timeout=TIMEOUT)
        _made = weakref.ref(dist.group.WORLD), weakref.ref(group)
    return _made[1]()


def max_over_ranks(number: int) -> int:
    """The highest of the ranks' numbers; no work that a device still does is waited for."""
    value = torch.tensor(number)
    dist.all_reduce(value, op=dist.ReduceOp.MAX, group=cpu_group())
    return int(value)


def gather_in_order(part: list, total: int) -> list | None:
    """The items of all ranks, in the order of the data set, on rank 0; None on the others.

    Args:
        part: this rank's items. torch's ``DistributedSampler`` deals the samples out in turn and gives some twice so
            that all ranks have as many.
        total: samples of the data set.
    """
    rank, group = dist.get_rank(), cpu_group()
    parts: list | None = [None] * dist.get_world_size() if rank == 0 else None
    dist.gather_object(part, parts, dst=0, group=group)
    if parts is None:
        return None
    return [item for turn in zip(*parts, strict=True) for item in turn][:total]
