"""Nothing is lost when a run is asked to stop."""

import signal
import sys

from mmcv.runner import HOOKS, Hook


@HOOKS.register_module()
class StopSignalHook(Hook):
    """On SIGTERM (schedulers, torchrun) or Ctrl-C finishes the iteration, saves a checkpoint and exits with 128 + signal.

    ``--auto-resume`` continues from there. A second Ctrl-C ends the process at once.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def before_run(self, runner) -> None:
        """Listen for the signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)

    def after_train_iter(self, runner) -> None:
        """Save and exit if a signal came."""
        if self.received is None:
            return
        if runner.rank == 0:
            runner.save_checkpoint(runner.work_dir, filename_tmpl='iter_{}.pth')
            name = signal.Signals(self.received).name
            runner.logger.info(f'{name}: saved iteration {runner.iter + 1}; continue with --auto-resume')
        sys.exit(128 + self.received)
