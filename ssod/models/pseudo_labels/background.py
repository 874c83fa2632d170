"""How reliable each background sample of the student is (soft teacher weights, section 3.2; Table 8)."""

from dataclasses import dataclass

import torch
from mmdet.core import bbox2roi
from mmdet.models.builder import MODELS
from torch import Tensor, nn


@dataclass(frozen=True)
class BackgroundSamples:
    """The n proposals of a batch that the classification branch took as background, image after image.

    Attributes:
        student_bboxes: B tensors (n_i, 4), xyxy in pixels of the student view.
        teacher_bboxes: the same boxes in the teacher view, clipped to it.
        pseudo_bboxes: B tensors (k_i, 4), the classification branch's pseudo boxes in the student view.
        student_logits: (n, num_classes + 1), the student's class logits of the samples, detached.
    """

    student_bboxes: list[Tensor]
    teacher_bboxes: list[Tensor]
    pseudo_bboxes: list[Tensor]
    student_logits: Tensor


@MODELS.register_module()
class TeacherBackgroundScore:
    """The teacher's background probability of the very box (BG-T, the paper's choice)."""

    @torch.no_grad()
    def __call__(self, samples: BackgroundSamples, roi_head: nn.Module, feats: tuple[Tensor, ...]) -> Tensor:
        """Weights of the background samples.

        Args:
            samples: n samples of B images.
            roi_head: the teacher's.
            feats: the teacher's feature maps of the same B images in the same order.

        Returns:
            (n,) in [0, 1].
        """
        rois = bbox2roi(samples.teacher_bboxes)
        if len(rois) == 0:
            return rois.new_zeros(0)
        logits = roi_head._bbox_forward(feats, rois)['cls_score'].float()
        return logits.softmax(dim=-1)[:, -1]
