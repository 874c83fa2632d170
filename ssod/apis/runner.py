"""mmcv's runner, whose checkpoints are there whole or not at all."""

import os.path as osp
from pathlib import Path

from mmcv.runner import RUNNERS, IterBasedRunner

from ssod.core.files import point_to, replacing

LATEST = 'latest.pth'


class WholeCheckpoints:
    """In front of mmcv's ``IterBasedRunner``: a checkpoint is flushed before it has its name, and then is the latest.

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
            InputError: the disk is full, say; the checkpoints that are there stay.
        """
        if '://' in out_dir:  # a storage of mmcv's, which has no names to move
            super().save_checkpoint(out_dir, filename_tmpl, meta, save_optimizer, create_symlink)
            return
        name = filename_tmpl.format(self.iter + 1)
        with replacing(osp.join(out_dir, name)) as temporary:
            super().save_checkpoint(str(temporary.parent), temporary.name, meta, save_optimizer, create_symlink=False)
        if create_symlink:
            point_to(Path(out_dir, LATEST), name)


def with_whole_checkpoints(kind: str | type) -> type:
    """The runner of a config with :class:`WholeCheckpoints`; one that saves in its own way stays as it is.

    Args:
        kind: a name that mmcv has registered, or the class.
    """
    runner = RUNNERS.get(kind) if isinstance(kind, str) else kind
    if runner.save_checkpoint is not IterBasedRunner.save_checkpoint:
        return runner
    return type(runner.__name__, (WholeCheckpoints, runner), {})
