"""How far a training is: in ``progress.json`` of its work dir, and on the terminal."""

import os.path as osp
from contextlib import ExitStack
from dataclasses import replace

from mmcv.runner import LoggerHook, master_only

from ssod.core.look import metrics_of
from ssod.core.progress import FILE, Progress, follower, losses_by_group, main_metrics
from ssod.core.screen import Screen, Work, screen

from .best import Best


class ProgressHook(LoggerHook):
    """Writes ``progress.json`` (:class:`ssod.core.progress.Progress`) once a log interval, at evaluations and the end.

    On a terminal the same is shown at its foot. Every training has this hook.

    Args:
        interval: iterations.
    """

    def __init__(self, interval: int = 50) -> None:
        super().__init__(interval, ignore_last=False, by_epoch=False)
        self.progress, self.seconds, self.counted = Progress('training'), 0.0, 0
        self.shown: Screen | None = None
        self.stack = ExitStack()
        self.files: tuple[str, ...] = ()

    def before_run(self, runner) -> None:
        """Begin to show."""
        super().before_run(runner)
        if runner.rank != 0:
            return
        self.files = (osp.join(runner.work_dir, FILE), *follower())
        self.shown = self.stack.enter_context(screen())
        self.keep(Progress('training', iteration=runner.iter, max_iters=runner.max_iters))

    def keep(self, progress: Progress) -> None:
        """Write and show it; an evaluation writes into it."""
        self.progress = Work.training = progress
        Work.files = self.files
        progress.write(*self.files)
        if self.shown:
            self.shown.show('', progress)

    def after_train_iter(self, runner) -> None:
        """As mmcv's; on the terminal each iteration counts."""
        super().after_train_iter(runner)
        if self.shown and runner.rank == 0:
            self.shown.show('', replace(self.progress, iteration=runner.iter + 1))

    @master_only
    def log(self, runner) -> None:
        """What the log buffer holds: means of iterations, or an evaluation."""
        values = dict(runner.log_buffer.output)
        values.pop('eval_iter_num', None)
        if self.get_mode(runner) == 'train':
            self.keep(self.after_iterations(runner, values))
            return
        best = Best.read(runner.work_dir)
        said = '' if best is None else f'best so far: {best.key} {100 * best.value:.1f} at iteration {best.iteration}'
        at = runner.iter + 1
        self.keep(replace(self.progress, metrics=main_metrics(values), evaluated_at=at, best=said, iteration=at))
        if self.shown:
            self.shown.say(f'iteration {at}: {metrics_of(self.progress)}')

    def after_iterations(self, runner, values: dict) -> Progress:
        """The last iterations; the time left is that of the iterations of this start, as in the log."""
        iteration, seconds = self.get_iter(runner), None
        new = iteration - max(self.progress.iteration or 0, 0)
        if 'time' in values and new > 0:
            self.seconds, self.counted = self.seconds + values['time'] * new, self.counted + new
        if self.counted:
            seconds = self.seconds / self.counted * (runner.max_iters - iteration)
        plain = {key: float(value) for key, value in values.items() if isinstance(value, (int, float))}
        figures = {key: value for key, value in plain.items() if 'loss' not in key and 'acc' not in key}
        lr = runner.current_lr()
        if isinstance(lr, list):
            figures['lr'] = float(lr[0])
        return replace(
            self.progress,
            what='training',
            done=iteration,
            total=runner.max_iters,
            iteration=iteration,
            max_iters=runner.max_iters,
            seconds_left=seconds,
            losses=losses_by_group(plain),
            figures=figures,
        )

    def close(self, what: str | None = None) -> None:
        """Give the terminal back, whatever ended the run, and say what became of it; None says nothing new."""
        if what is not None and self.files:
            self.keep(replace(self.progress, what=what))
        self.stack.close()
        self.shown, self.files = None, ()
        Work.training, Work.files = None, ()
