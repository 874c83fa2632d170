"""Evaluation of student and teacher during training."""

import io
import os.path as osp
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import mmcv
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, get_dist_info
from mmdet.apis import multi_gpu_test, single_gpu_test
from mmdet.core import EvalHook
from torch import nn
from torch.utils.data import DataLoader

from ssod.core import SemiModel


@contextmanager
def predicting_on(model: nn.Module, name: str | None) -> Iterator[None]:
    """Let ``model`` (bare or wrapped) predict on 'student' or 'teacher' for a while; None leaves it as it is."""
    module = model.module if is_module_wrapper(model) else model
    if name is None:
        yield
        return
    before, module.predict_on = module.predict_on, name
    try:
        yield
    finally:
        module.predict_on = before


def models_to_test(model: nn.Module, eval_on: str | Sequence[str]) -> tuple[str | None, ...]:
    """Names to evaluate: of a semi-supervised detector those that ``eval_on`` says, of any other (None,).

    Args:
        eval_on: 'student', 'teacher', 'both', or a sequence of the first two.
    """
    module = model.module if is_module_wrapper(model) else model
    if not isinstance(module, SemiModel):
        return (None,)
    if isinstance(eval_on, str):
        eval_on = ('student', 'teacher') if eval_on == 'both' else (eval_on,)
    return tuple(eval_on)


@HOOKS.register_module()
class SemiEvalHook(EvalHook):
    """mmdet's evaluation, once for each model, on one process or many.

    Metrics are logged as ``student_bbox_mAP``, ``teacher_bbox_mAP`` ...; those of a plain detector under their own
    names. What inference uses (``predict_on``) is as before afterwards.

    Args:
        dataloader: of the validation set; each rank has its part.
        eval_on: 'student', 'teacher', 'both', or a sequence of the first two.
        kwargs: mmcv's ``EvalHook`` arguments (``interval``, ``save_best``) and the data set's (``metric``).

    Raises:
        ValueError: ``eval_on`` names another model, or (before the run) ``save_best`` a metric of none of them.
    """

    def __init__(self, dataloader: DataLoader, eval_on: str | Sequence[str] = 'both', **kwargs: Any) -> None:
        super().__init__(dataloader, by_epoch=False, **kwargs)
        names = (eval_on,) if isinstance(eval_on, str) else eval_on
        if not names or (eval_on != 'both' and set(names) - {'student', 'teacher'}):
            raise ValueError(f"evaluation.eval_on must be 'student', 'teacher' or 'both', got {eval_on!r}")
        self.eval_on = eval_on

    def before_run(self, runner) -> None:
        """As mmcv's; a ``save_best`` that no evaluation could find is refused now, not at the first evaluation."""
        super().before_run(runner)
        names = models_to_test(runner.model, self.eval_on)
        if self.save_best in (None, 'auto') or names == (None,) or self.save_best.startswith(names):
            return
        known = ' or '.join(f'{name}_{self.save_best}' for name in names)
        raise ValueError(f'evaluation.save_best must name the model too: {known}, got {self.save_best!r}')

    def _should_evaluate(self, runner) -> bool:
        return super()._should_evaluate(runner) or self.is_last_iter(runner)

    def _do_evaluate(self, runner) -> None:
        rank, _ = get_dist_info()
        metrics: dict[str, Any] = {}
        for name in models_to_test(runner.model, self.eval_on):
            with predicting_on(runner.model, name):
                # A folder each: rank 0 empties the student's while another rank may already write the teacher's.
                results = run_test(runner.model, self.dataloader, osp.join(runner.work_dir, f'.eval_hook_{name}'))
            if rank == 0:
                prefix = '' if name is None else f'{name}_'
                values = self.dataloader.dataset.evaluate(results, logger=runner.logger, **self.eval_kwargs)
                metrics.update({prefix + key: value for key, value in values.items()})
        if rank == 0:
            runner.log_buffer.output.update(metrics)
            runner.log_buffer.ready = True
            self._save_best(runner, metrics)

    def _save_best(self, runner, metrics: dict[str, Any]) -> None:
        if self.save_best is None or not metrics:
            return
        if self.key_indicator == 'auto':
            self._init_rule(self.rule, next(iter(metrics)))
        self._save_ckpt(runner, metrics[self.key_indicator])


def run_test(model: nn.Module, dataloader: DataLoader, tmpdir: str) -> list | None:
    """Detections of all images, gathered on rank 0 (None on the others) through files in ``tmpdir``."""
    with progress_on_terminal():
        if get_dist_info()[1] == 1:
            return single_gpu_test(model, dataloader)
        return multi_gpu_test(model, dataloader, tmpdir=tmpdir)


@contextmanager
def progress_on_terminal() -> Iterator[None]:
    """Keep the host's progress bar, which writes a line an image, out of anything but a terminal."""
    bar = mmcv.ProgressBar
    if not sys.stdout.isatty():
        mmcv.ProgressBar = partial(bar, file=io.StringIO())
    try:
        yield
    finally:
        mmcv.ProgressBar = bar
