"""mmcv's loggers, as a training uses them: short lines of text, and trackers that all say the same."""

import json
import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import runner as mmcv_runner
from mmcv.runner import HOOKS, LoggerHook, master_only

from ssod.core.errors import InputError
from ssod.core.files import write_whole
from ssod.core.progress import is_of_class

RUNS = 'trackers.json'


class TextLoggerHook(mmcv_runner.TextLoggerHook):
    """mmcv's, whose lines leave out the metrics of single classes; ``.log.json`` has them."""

    def _log_info(self, log_dict: dict, runner) -> None:
        super()._log_info({key: value for key, value in log_dict.items() if not is_of_class(key)}, runner)


class Tracker(LoggerHook, ABC):
    """In front of one of mmcv's trackers: the same scalars by the same names in each, and pictures.

    The run of a tracker is noted in ``trackers.json`` of the work dir: a training that goes on there goes on in it.
    """

    name = ''

    def get_loggable_tags(self, runner, **options: Any) -> dict[str, Any]:
        """The numbers of the log buffer, learning rate and momentum; a sign that one of the trackers refuses is ``_``.

        'train/loss', 'val/student_bbox_mAP', 'val/AR_100'.
        """
        tags = super().get_loggable_tags(runner, **{**options, 'allow_text': False})
        return {re.sub(r'[^-/\w.]', '_', name): value for name, value in tags.items()}

    @abstractmethod
    def show(self, name: str, picture: np.ndarray, step: int) -> None:
        """Log a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            step: iterations done.
        """

    def end(self, failed: bool = True) -> None:
        """End the tracker's run; nothing if it has not begun, or has ended."""

    @classmethod
    def run_of(cls, runner) -> str | None:
        """The tracker's run that this training goes on in; None: a new one."""
        path = Path(runner.work_dir, RUNS)
        return json.loads(path.read_text()).get(cls.name) if runner.iter and path.is_file() else None

    @classmethod
    def note_run(cls, runner, run: str) -> None:
        """Note the tracker's run."""
        path = Path(runner.work_dir, RUNS)
        runs = json.loads(path.read_text()) if path.is_file() else {}
        write_whole(path, json.dumps({**runs, cls.name: run}, indent=1) + '\n')


class TensorboardLoggerHook(Tracker, mmcv_runner.TensorboardLoggerHook):
    """mmcv's. A training that goes on takes what came after its checkpoint off the curves."""

    writer = None

    @master_only
    def before_run(self, runner) -> None:
        """Open the log."""
        from torch.utils.tensorboard import SummaryWriter  # imports tensorboard

        LoggerHook.before_run(self, runner)
        self.log_dir = self.log_dir or os.path.join(runner.work_dir, 'tf_logs')
        self.writer = SummaryWriter(self.log_dir, purge_step=runner.iter + 1 if runner.iter else None)

    def show(self, name: str, picture: np.ndarray, step: int) -> None:
        """See :meth:`Tracker.show`."""
        self.writer.add_image(name, picture, step, dataformats='HWC')

    def end(self, failed: bool = True) -> None:
        """Close the log."""
        if self.writer is not None:
            self.writer.close()


class WandbLoggerHook(Tracker, mmcv_runner.WandbLoggerHook):
    """mmcv's.

    Args:
        commit: False, unlike mmcv: W&B drops what comes to a step that is committed, and an evaluation comes to the
            step of the training's own line.
        log_artifact: False, unlike mmcv, which fails on the second run in a work dir: two files of W&B's own have the
            same name.
        settings: mmcv's.
    """

    name = 'wandb'

    def __init__(self, commit: bool = False, log_artifact: bool = False, **settings: Any) -> None:
        super().__init__(commit=commit, log_artifact=log_artifact, **settings)

    @master_only
    def before_run(self, runner) -> None:
        """Begin, or go on with, a run.

        Raises:
            InputError: W&B refuses it: nobody has logged in, say.
        """
        self.init_kwargs = {'dir': runner.work_dir, **(self.init_kwargs or {})}
        if run := self.run_of(runner):
            self.init_kwargs = {'id': run, 'resume': 'allow', **self.init_kwargs}
        try:
            super().before_run(runner)
        except self.wandb.errors.Error as error:
            said = ' '.join(str(error).split()).rstrip('.')
            raise InputError(f'W&B does not begin: {said}; WANDB_MODE=offline needs no account') from error
        self.note_run(runner, self.wandb.run.id)

    def show(self, name: str, picture: np.ndarray, step: int) -> None:
        """See :meth:`Tracker.show`."""
        self.wandb.log({name: self.wandb.Image(picture)}, step=step, commit=False)

    def end(self, failed: bool = True) -> None:
        """Mark the run as failed, or as ended."""
        if self.wandb.run is not None:
            self.wandb.finish(exit_code=int(failed))


class MlflowLoggerHook(Tracker, mmcv_runner.MlflowLoggerHook):
    """mmcv's, in files in ``mlruns`` of the work dir, unless MLflow has been told of another place.

    A run that is active already, of a notebook say, is logged to and left active.

    Args:
        log_model: False, unlike mmcv: the checkpoints hold the model.
        settings: mmcv's.
    """

    name = 'mlflow'
    own_run = own_store = False

    def __init__(self, log_model: bool = False, **settings: Any) -> None:
        super().__init__(log_model=log_model, **settings)

    def import_mlflow(self) -> None:
        """As mmcv's, without ``mlflow.pytorch``, which needs pandas and is for logging models alone."""
        import mlflow

        self.mlflow = mlflow

    @master_only
    def before_run(self, runner) -> None:
        """Begin, or go on with, a run."""
        if self.log_model:
            super().import_mlflow()
        if not self.mlflow.is_tracking_uri_set():
            os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')  # mlflow-skinny has no other store of its own
            self.mlflow.set_tracking_uri(Path(runner.work_dir, 'mlruns').resolve().as_uri())
            self.own_store = True
        if self.mlflow.active_run() is None:
            if self.exp_name is not None:
                self.mlflow.set_experiment(self.exp_name)
            self._start_run(runner)
            self.own_run = True
        self.note_run(runner, self.mlflow.active_run().info.run_id)
        super().before_run(runner)

    def _start_run(self, runner) -> None:
        run = self.run_of(runner)
        try:
            self.mlflow.start_run(run_id=run)
        except self.mlflow.MlflowException as error:
            if run is None:
                raise
            runner.logger.warning(f'MLflow cannot go on with the run {run}, a new one begins: {error.message}')
            self.mlflow.start_run()

    @master_only
    def after_run(self, runner) -> None:
        """As mmcv's; and end the run."""
        super().after_run(runner)
        self.end(failed=False)

    def show(self, name: str, picture: np.ndarray, step: int) -> None:
        """See :meth:`Tracker.show`."""
        self.mlflow.log_image(picture, key=name, step=step)

    def end(self, failed: bool = True) -> None:
        """Mark the run as failed, or as finished."""
        if self.own_run:
            self.mlflow.end_run('FAILED' if failed else 'FINISHED')
        if self.own_store:
            self.mlflow.set_tracking_uri(None)
        self.own_run = self.own_store = False


OURS = (TextLoggerHook, TensorboardLoggerHook, WandbLoggerHook, MlflowLoggerHook)


def with_our_loggers(log_config: dict | None) -> dict | None:
    """``log_config`` with these classes in the place of mmcv's of the same name; others stay."""
    if not log_config:
        return log_config
    ours = {getattr(mmcv_runner, kind.__name__): kind for kind in OURS}
    hooks = []
    for hook in log_config['hooks']:
        kind = HOOKS.get(hook['type']) if isinstance(hook['type'], str) else hook['type']
        hooks.append({**hook, 'type': ours.get(kind, hook['type'])})
    return {**log_config, 'hooks': hooks}
