"""Losses and gradients that are no finite numbers: named, kept for a replay, skipped, and not too often in a row."""

import math
import os.path as osp
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmcv.parallel import DataContainer, is_module_wrapper

from ssod.core.errors import InputError
from ssod.core.files import replacing

# Attributes of a model that hooks set.
SET_BY_HOOKS = ('unsup_weight', 'sup_share', 'unsup_share')
MOST_DUMPS = 3


class Skips:
    """Counts the steps in a row that were skipped.

    All ranks count alike: the losses that are logged are averages over the ranks, and so are the gradients.

    Args:
        most: how many in a row are borne.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_a_row = 0
        self.dumps = 0

    def add(self, runner: Any, what: str) -> None:
        """Name what is not finite, with the images of this rank's batch.

        Raises:
            InputError: more than ``most`` in a row.
        """
        self.in_a_row += 1
        files = ', '.join(sorted(set(files_in(getattr(runner, 'data_batch', None)))))
        sentence = f'iteration {runner.iter + 1}: {what} is not finite'
        # An error, so that every rank says its own images.
        runner.logger.error(f'{sentence}, the step is skipped ({self.in_a_row} in a row); images: {files or "unknown"}')
        if self.in_a_row == 1 and self.dumps < MOST_DUMPS and runner.rank == 0:
            self.dumps += 1
            dump(runner)
        if self.in_a_row > self.most:
            raise InputError(
                f'{sentence}, {self.in_a_row} steps in a row (optimizer_config.max_skips={self.most}): the checkpoints '
                'are those before; go on from one with a lower lr, with grad_clip, or without half precision'
            )

    def reset(self) -> None:
        """A step was made."""
        self.in_a_row = 0


def dump(runner: Any) -> None:
    """Keep what ``tools/replay.py`` needs to make the step again: weights, iteration, and what hooks have set.

    No batch: it is a function of seed, rank and iteration, as all draws are.
    """
    model = runner.model.module if is_module_wrapper(runner.model) else runner.model
    path = osp.join(runner.work_dir, f'nonfinite_iter_{runner.iter + 1}.pth')
    settings = {name: getattr(model, name) for name in SET_BY_HOOKS if hasattr(model, name)}
    content = dict(
        meta={**runner.meta, 'iter': runner.iter},
        state_dict={name: value.cpu() for name, value in model.state_dict().items()},
        replay=dict(log_vars=dict(runner.outputs.get('log_vars', {})), settings=settings),
    )
    try:
        with replacing(path) as temporary:
            torch.save(content, temporary)
    except InputError as error:  # a full disk: the run may go on
        runner.logger.warning(str(error))
    else:
        runner.logger.error(f'the step is kept: python tools/replay.py CONFIG {path}')


def nonfinite(log_vars: Mapping[str, float]) -> str:
    """The names of the losses that are not finite, the parts before their sum; '' if there is none."""
    names = [name for name, value in log_vars.items() if 'loss' in name and not math.isfinite(value)]
    return ', '.join(name for name in names if name != 'loss') or ', '.join(names)


def files_in(batch: Any) -> Iterator[str]:
    """The file names in the metas of a training batch, of whatever branches."""
    if isinstance(batch, DataContainer):
        batch = batch.data
    if isinstance(batch, Mapping):
        if 'filename' in batch:
            yield str(batch['filename'])
        for value in batch.values():
            yield from files_in(value)
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from files_in(value)
