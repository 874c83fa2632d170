"""Nothing is lost when a run is asked to stop."""

import signal
import sys

import torch
import torch.distributed as dist
from mmcv.runner import HOOKS, Hook, get_dist_info


@HOOKS.register_module()
class StopSignalHook(Hook):
    """On SIGTERM (schedulers, torchrun) or Ctrl-C finishes the iteration, saves a checkpoint, exits with 128 + signal.

    ``--auto-resume`` continues from there. A second Ctrl-C ends the process at once. The ranks hear of the signal at
    different moments and stop after the same iteration: one that left earlier would leave the others waiting.
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
        self.received = on_any_rank(self.received, next(runner.model.parameters()).device)
        if self.received is None:
            return
        if runner.rank == 0:
            runner.save_checkpoint(runner.work_dir, filename_tmpl='iter_{}.pth')
            name = signal.Signals(self.received).name
            runner.logger.info(f'{name}: saved iteration {runner.iter + 1}; continue with --auto-resume')
        sys.exit(128 + self.received)


def on_any_rank(number: int | None, device: torch.device) -> int | None:
    """The signal that any rank has received, on all of them; None if none has."""
    if get_dist_info()[1] == 1:
        return number
    highest = torch.tensor(number or 0, device=device)
    dist.all_reduce(highest, op=dist.ReduceOp.MAX)
    return int(highest) or None
