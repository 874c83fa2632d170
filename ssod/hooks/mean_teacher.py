"""The teacher as an exponential moving average of the student (section 3.1)."""

import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook
from torch import Tensor, nn


@HOOKS.register_module()
class MeanTeacherHook(Hook):
    """Before each iteration ``teacher = m * teacher + (1 - m) * student``.

    ``m = min(momentum, 1 - (1 + warm_up) / (iter + 1 + warm_up))``: iteration 0 copies the student, and the average
    gets slower as the student settles. Floating-point buffers (BatchNorm's statistics) are averaged too, integer ones
    copied. The momentum is logged as ``ema_momentum``.

    Args:
        momentum: largest momentum, in [0, 1].
        warm_up: iterations to add to the schedule's slope; 0 is the authors' setting.
        interval: iterations between two updates.
        ramp: False: iteration 0 copies the student, and ``momentum`` holds from then on (the paper's wording).
    """

    def __init__(self, momentum: float = 0.999, warm_up: int = 0, interval: int = 1, ramp: bool = True) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f'MeanTeacherHook: momentum must be in [0, 1], got {momentum}')
        if interval < 1:
            raise ValueError(f'MeanTeacherHook: interval must be at least 1, got {interval}')
        self.momentum = momentum
        self.warm_up = warm_up
        self.interval = interval
        self.ramp = ramp
        self.tensors: list[tuple[Tensor, Tensor]] = []

    def momentum_at(self, iteration: int) -> float:
        """The momentum of the update before this iteration (0 for the first)."""
        if iteration > 0 and not self.ramp:
            return self.momentum
        return min(self.momentum, 1 - (1 + self.warm_up) / (iteration + 1 + self.warm_up))

    def before_run(self, runner) -> None:
        """Pair the student's tensors with the teacher's: the same ones all through a run, as for the optimizer."""
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        self.tensors = paired_tensors(model.student, model.teacher)

    def before_train_iter(self, runner) -> None:
        """Update the teacher."""
        if runner.iter % self.interval:
            return
        momentum = self.momentum_at(runner.iter)
        update_teacher(self.tensors, momentum, everything=runner.iter == 0)
        runner.log_buffer.update(dict(ema_momentum=momentum))


def paired_tensors(student: nn.Module, teacher: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Every parameter and buffer of the student with that of the same name of the teacher.

    Raises:
        ValueError: the two do not have the same parameters and buffers.
    """
    source, target = student.state_dict(keep_vars=True), teacher.state_dict(keep_vars=True)
    if source.keys() != target.keys():
        raise ValueError(f'student and teacher differ in {sorted(source.keys() ^ target.keys())}')
    return [(value, target[name]) for name, value in source.items()]


@torch.no_grad()
def update_teacher(tensors: list[tuple[Tensor, Tensor]], momentum: float, everything: bool = False) -> None:
    """Move the teacher towards the student, in place.

    Args:
        tensors: from :func:`paired_tensors`.
        momentum: share of the teacher that stays.
        everything: copy every parameter and buffer, frozen ones too, whatever the momentum; else frozen parameters,
            which the student cannot change, are skipped.
    """
    source, target = [], []
    for of_student, of_teacher in tensors:
        if everything or not of_student.is_floating_point():
            of_teacher.copy_(of_student)
        elif of_student.requires_grad or not isinstance(of_student, nn.Parameter):
            source.append(of_student)
            target.append(of_teacher)
    if target:
        torch._foreach_lerp_(target, source, 1 - momentum)
