"""How reliable each background sample of the student is (soft teacher weights, section 3.2; Table 8)."""

import torch
from mmdet.core import bbox2roi
from mmdet.models.builder import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class TeacherBackgroundScore:
    """The teacher's background probability of the very box (BG-T, the paper's choice)."""

    @torch.no_grad()
    def __call__(self, bboxes: list[Tensor], roi_head: nn.Module, feats: tuple[Tensor, ...]) -> Tensor:
        """Weights of the n proposals of a batch that the classification branch took as background.

        Args:
            bboxes: B tensors (n_i, 4), xyxy in pixels of the teacher view, clipped to it.
            roi_head: the teacher's.
            feats: the teacher's feature maps of the same B images in the same order.

        Returns:
            (n,) in [0, 1], image after image.
        """
        rois = bbox2roi(bboxes)
        if len(rois) == 0:
            return rois.new_zeros(0)
        logits = roi_head._bbox_forward(feats, rois)['cls_score'].float()
        return logits.softmax(dim=-1)[:, -1]
