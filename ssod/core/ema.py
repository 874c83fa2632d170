"""The teacher as an exponential moving average of the student (Soft Teacher, section 3.1)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class EMA:
    """How the teacher follows the student: ``teacher = m * teacher + (1 - m) * student``, before an iteration.

    ``m = min(momentum, 1 - (1 + warm_up) / (iteration + 1 + warm_up))``: iteration 0 copies the student, and the
    average gets slower as the student settles.

    Attributes:
        momentum: the teacher's share that stays, in [0, 1]; the largest that ``m`` becomes. 0: the teacher is the
            student of the iteration before.
        warm_up: iterations to add to the slope; 0 is the authors' setting.
        interval: iterations between two updates.
        ramp: False: iteration 0 copies the student, and ``momentum`` holds from then on (the paper's wording).

    Raises:
        ValueError: a value outside its range, or a momentum that looks like MMDetection 3's, which counts the
            student's share.

    Examples:
        >>> [round(EMA(momentum=0.999).momentum_at(i), 3) for i in (0, 1, 9, 5000)]
        [0.0, 0.5, 0.9, 0.999]
    """

    momentum: float = 0.999
    warm_up: int = 0
    interval: int = 1
    ramp: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1:
            raise ValueError(f'ema.momentum must be in [0, 1], got {self.momentum}')
        if 0 < self.momentum < 0.5:
            raise ValueError(
                f'ema.momentum={self.momentum} would keep almost nothing of the teacher: MMDetection 3 counts the '
                f"student's share there, here it is the teacher's: write {1 - self.momentum:g}"
            )
        if self.warm_up < 0:
            raise ValueError(f'ema.warm_up must be 0 or more, got {self.warm_up}')
        if self.interval < 1:
            raise ValueError(f'ema.interval must be at least 1, got {self.interval}')

    def momentum_at(self, iteration: int) -> float:
        """The momentum of the update before this iteration (0 for the first)."""
        if iteration > 0 and not self.ramp:
            return self.momentum
        return min(self.momentum, 1 - (1 + self.warm_up) / (iteration + 1 + self.warm_up))


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
    """Move the teacher towards the student, in place; floating-point buffers too, integer ones are copied.

    Args:
        tensors: from :func:`paired_tensors`.
        momentum: the teacher's share that stays.
        everything: copy every parameter and buffer, frozen ones too, whatever the momentum; else frozen parameters,
            which the student cannot change, are skipped.
    """
    source, target, copied, copies = [], [], [], []
    for of_student, of_teacher in tensors:
        if everything or not of_student.is_floating_point():
            copied.append(of_student)
            copies.append(of_teacher)
        elif of_student.requires_grad or not isinstance(of_student, nn.Parameter):
            source.append(of_student)
            target.append(of_teacher)
    if copies:
        torch._foreach_copy_(copies, copied)
    if target:
        torch._foreach_lerp_(target, source, 1 - momentum)
