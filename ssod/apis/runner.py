"""mmcv's runner, whose checkpoints are there whole or not at all."""

import os.path as osp
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from mmcv.runner import RUNNERS, IterBasedRunner
from torch import nn

from ssod.core.errors import InputError
from ssod.core.files import point_to, replacing

LATEST = 'latest.pth'


class WholeCheckpoints(IterBasedRunner):
    """In front of another ``IterBasedRunner``: a checkpoint is flushed before it has its name, and then is the latest.

    mmcv writes into the file itself, and takes ``latest.pth`` away before it makes the new one.
    """

    def save_checkpoint(
        self,
        out_dir: str,
        filename_tmpl: str = 'iter_{}.pth',
        meta: dict | None = None,
        save_optimizer: bool = True,
        create_symlink: bool = True,
    ) -> None:
        """As mmcv's.

        Raises:
            InputError: the disk is full, say, or a weight is not finite; the checkpoints that are there stay.
        """
        if '://' in out_dir:  # a storage of mmcv's, which has no names to move
            super().save_checkpoint(out_dir, filename_tmpl, meta, save_optimizer, create_symlink)
            return
        check_finite(self.model)
        name = filename_tmpl.format(self.iter + 1)
        with replacing(osp.join(out_dir, name)) as temporary:
            super().save_checkpoint(str(temporary.parent), temporary.name, meta, save_optimizer, create_symlink=False)
        if create_symlink:
            point_to(Path(out_dir, LATEST), name)


def check_finite(model: nn.Module) -> None:
    """Refuse to keep weights, or statistics of BatchNorm, that are not finite: good checkpoints would go for them.

    Raises:
        InputError: there are some.
    """
    for name, value in chain(model.named_parameters(), model.named_buffers()):
        counts = isinstance(value, nn.Parameter) or name.endswith(('running_mean', 'running_var'))
        if counts and not torch.isfinite(value).all():
            raise InputError(
                f'{name.removeprefix("module.")} is not finite: no checkpoint is written, those before stay; go on '
                'from one with a lower lr, with grad_clip, or without half precision'
            )


def with_whole_checkpoints(kind: str | type) -> type:
    """The runner of a config with :class:`WholeCheckpoints`; one that saves in its own way stays as it is.

    Args:
        kind: a name that mmcv has registered, or the class.
    """
    runner: Any = RUNNERS.get(kind) if isinstance(kind, str) else kind
    if runner.save_checkpoint is not IterBasedRunner.save_checkpoint:
        return runner
    return type(runner.__name__, (WholeCheckpoints, runner), {})
