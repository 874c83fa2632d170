"""How reliable each background sample of the student is (section 3.2; the indicators of Table 8)."""

from dataclasses import dataclass

import torch
from mmdet.core import bbox2roi, bbox_overlaps
from mmdet.core.bbox.samplers.sampling_result import SamplingResult
from mmdet.models.builder import MODELS
from torch import Tensor, nn

from .projection import project_boxes, view_to_view


@dataclass(frozen=True)
class BackgroundSamples:
    """The n proposals of B images that the student's classification branch took as background, n_i on image i.

    Attributes:
        bboxes: B tensors (n_i, 4), xyxy in pixels of the student view.
        teacher_bboxes: the same boxes in pixels of the teacher view, clipped to it.
        pseudo_bboxes: B tensors (k_i, 4), the classification branch's pseudo boxes in the student view.
        student_logits: (n, num_classes + 1), the student's class logits of the samples, image after image.
        teacher_roi_head: the teacher's ``StandardRoIHead``.
        teacher_feats: its feature maps of the B images, in the same order.
    """

    bboxes: list[Tensor]
    teacher_bboxes: list[Tensor]
    pseudo_bboxes: list[Tensor]
    student_logits: Tensor
    teacher_roi_head: nn.Module
    teacher_feats: tuple[Tensor, ...]


def teacher_background(samples: BackgroundSamples) -> Tensor:
    """(n,) the teacher's background probability of the very boxes; image by image, to hold fewer features at a time."""
    scores = []
    for i, bboxes in enumerate(samples.teacher_bboxes):
        if len(bboxes) > 0:
            feats = image_feats(samples.teacher_feats, i)
            logits = samples.teacher_roi_head._bbox_forward(feats, bbox2roi([bboxes]))['cls_score'].float()
            scores.append(logits.softmax(dim=-1)[:, -1])
    return torch.cat(scores) if scores else samples.student_logits.new_zeros(0)


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


def image_feats(feats: tuple[Tensor, ...], index: int) -> tuple[Tensor, ...]:
    """Of feature maps (B, C, H, W), one a level, those of one image: (1, C, H, W) each."""
    return tuple(level[index : index + 1] for level in feats)


def in_teacher_view(
    samples: list[SamplingResult], teacher_metas: list[dict], student_metas: list[dict]
) -> list[Tensor]:
    """B tensors (n_i, 4): each image's negatives, boxes of the student view, in the teacher view and clipped to it."""
    matrices = view_to_view(student_metas, teacher_metas, samples[0].bboxes.device)
    return [
        project_boxes(sample.neg_bboxes[:, :4], matrix, meta['img_shape'])
        for sample, matrix, meta in zip(samples, matrices, teacher_metas, strict=True)
    ]


def background_mask(samples: list[SamplingResult]) -> Tensor:
    """(n,) bool over the samples of a batch, image after image, positives first in each: which are negatives."""
    return torch.cat(
        [torch.arange(len(sample.bboxes), device=sample.bboxes.device) >= len(sample.pos_bboxes) for sample in samples]
    )


def background_logits(cls_score: Tensor, samples: list[SamplingResult]) -> Tensor:
    """Rows of the (n, C) logits of a batch's samples that belong to negatives; see :func:`background_mask`."""
    images = cls_score.split([len(sample.bboxes) for sample in samples])
    return torch.cat([rows[len(sample.pos_bboxes) :] for rows, sample in zip(images, samples, strict=True)])
