"""How reliable each background sample of the student is (section 3.2; the indicators of Table 8)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from mmdet.core import bbox_overlaps
from mmdet.models.builder import MODELS
from torch import Tensor


@dataclass(frozen=True)
class BackgroundSamples:
    """The n proposals of B images that the student's classification branch took as background, n_i on image i.

    Attributes:
        bboxes: B tensors (n_i, 4), xyxy in pixels of the student view.
        teacher_bboxes: the same boxes in pixels of the teacher view, clipped to it.
        pseudo_bboxes: B tensors (k_i, 4), the classification branch's pseudo boxes in the student view.
        student_logits: (n, num_classes + 1), the student's class logits of the samples, image after image.
        teacher_logits: gives the teacher's class logits (n_i, num_classes + 1) of boxes of the teacher view, in a list
            with one entry per image.
    """

    bboxes: list[Tensor]
    teacher_bboxes: list[Tensor]
    pseudo_bboxes: list[Tensor]
    student_logits: Tensor
    teacher_logits: Callable[[list[Tensor]], list[Tensor]]


def teacher_background(samples: BackgroundSamples) -> Tensor:
    """(n,) the teacher's background probability of the very boxes."""
    logits = torch.cat(samples.teacher_logits(samples.teacher_bboxes))
    return logits.softmax(dim=-1)[:, -1]


def student_background(samples: BackgroundSamples) -> Tensor:
    """(n,) the student's background probability."""
    return samples.student_logits.softmax(dim=-1)[:, -1]


@MODELS.register_module()
class TeacherBackgroundScore:
    """The teacher's background probability of the very box (BG-T, the paper's choice)."""

    @torch.no_grad()
    def __call__(self, samples: BackgroundSamples) -> Tensor:
        """(n,) weights in [0, 1], image after image."""
        return teacher_background(samples)


@MODELS.register_module()
class StudentBackgroundScore:
    """The student's own background probability (BG-S)."""

    @torch.no_grad()
    def __call__(self, samples: BackgroundSamples) -> Tensor:
        """(n,) weights in [0, 1], image after image."""
        return student_background(samples)


@MODELS.register_module()
class PredictionDifference:
    """``1 - |teacher - student|`` of the two background probabilities: where both agree the sample is trusted."""

    @torch.no_grad()
    def __call__(self, samples: BackgroundSamples) -> Tensor:
        """(n,) weights in [0, 1], image after image."""
        return 1 - (teacher_background(samples) - student_background(samples)).abs()


@MODELS.register_module()
class PseudoBoxIoU:
    """IoU with the nearest pseudo box of the classification branch: 0 on an image without any.

    Args:
        reverse: ``1 - IoU`` instead.
    """

    def __init__(self, reverse: bool = False) -> None:
        self.reverse = reverse

    @torch.no_grad()
    def __call__(self, samples: BackgroundSamples) -> Tensor:
        """(n,) weights in [0, 1], image after image."""
        nearest = [
            bbox_overlaps(bboxes, pseudo).amax(dim=1) if len(pseudo) else bboxes.new_zeros(len(bboxes))
            for bboxes, pseudo in zip(samples.bboxes, samples.pseudo_bboxes, strict=True)
        ]
        iou = torch.cat(nearest)
        return 1 - iou if self.reverse else iou
