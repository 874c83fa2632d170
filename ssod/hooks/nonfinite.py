"""Losses and gradients that are no finite numbers: named, skipped, and not too often in a row."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mmcv.parallel import DataContainer

from ssod.core.errors import InputError


class Skips:
    """Counts the steps in a row that were skipped.

    All ranks count alike: the losses that are logged are averages over the ranks, and so are the gradients.

    Args:
        most: how many in a row are borne.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_a_row = 0

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
        if self.in_a_row > self.most:
            raise InputError(
                f'{sentence}, {self.in_a_row} steps in a row (optimizer_config.max_skips={self.most}): the checkpoints '
                'are those before; go on from one with a lower lr, with grad_clip, or without half precision'
            )

    def reset(self) -> None:
        """A step was made."""
        self.in_a_row = 0


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
