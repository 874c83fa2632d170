"""Nothing is lost when a run is asked to stop."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mmcv.runner import HOOKS, Hook, get_dist_info

from .optimizer import iters_per_step
from .process_group import max_over_ranks


@HOOKS.register_module()
class StopSignalHook(Hook):
    """On SIGTERM (schedulers, torchrun) or Ctrl-C finishes the step, saves a checkpoint, exits with 128 + signal.

    ``--auto-resume`` continues from there. A second Ctrl-C ends the process at once. The ranks hear of the signal at
    different moments and stop after the same iteration: one that left earlier would leave the others waiting.

    It hears only within :meth:`listening`. It comes after the loggers, and before an
    evaluation: who asks does not wait for hours.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for the signals; the process's handlers are as before afterwards.

        Outside the main thread, where Python lets nobody handle signals, they are left to the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                # None: a handler that was not set from Python, and that Python cannot set again.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)

    def after_train_iter(self, runner) -> None:
        """Save and exit if a signal came."""
        self.received = on_any_rank(self.received)
        # A checkpoint holds no gradients: the iterations of a step that is not done would be lost.
        if self.received is None or (runner.iter + 1) % iters_per_step(runner):
            return
        if runner.rank == 0:
            runner.save_checkpoint(runner.work_dir, filename_tmpl='iter_{}.pth')
            name = signal.Signals(self.received).name
            runner.logger.info(f'{name}: saved iteration {runner.iter + 1}; continue with --auto-resume')
        sys.exit(128 + self.received)


def on_any_rank(number: int | None) -> int | None:
    """The highest of the ranks' numbers, None if no rank has one."""
    if get_dist_info()[1] == 1:
        return number
    return max_over_ranks(number or 0) or None
