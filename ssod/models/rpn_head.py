"""The host's RPN head, whose losses are computed where anchors were sampled and nowhere else."""

from typing import Any

import torch
from mmcv import ConfigDict
from mmdet.core import multi_apply
from mmdet.models import HEADS
from mmdet.models import RPNHead as HostRPNHead
from torch import Tensor
from torch.nn import functional as F


# In the host's place, under its name, as the RoI extractor is.
@HEADS.register_module(force=True)
class RPNHead(HostRPNHead):
    """mmdet's ``RPNHead`` (Faster R-CNN, section 3.1), same arguments, same proposals and same losses.

    256 anchors an image count in the losses, of tens of thousands. Their scores and deltas are computed a second time,
    with a gradient; the pass over all positions, which proposals need, keeps nothing for the backward pass. A head
    that does not sample (focal loss) or has several convolutions trains as the host's.
    """

    def forward_train(
        self,
        x: tuple[Tensor, ...],
        img_metas: list[dict],
        gt_bboxes: list[Tensor],
        gt_labels: list[Tensor] | None = None,
        gt_bboxes_ignore: list[Tensor] | None = None,
        proposal_cfg: ConfigDict | None = None,
        **kwargs: Any,
    ) -> dict[str, list[Tensor]] | tuple[dict[str, list[Tensor]], list[Tensor]]:
        """Losses of a batch, and its proposals if ``proposal_cfg`` says how to choose them.

        Args:
            x: a feature map (B, C, H, W) a level.
            img_metas: of each image ``img_shape`` and ``pad_shape``.
            gt_bboxes: (n, 4) of each image, xyxy in pixels of the batch's images.
            gt_labels: None; a RPN knows objects only.
            gt_bboxes_ignore: boxes that say nothing, or None.
            proposal_cfg: how many proposals, of what size, and their NMS.

        Returns:
            ``loss_rpn_cls`` and ``loss_rpn_bbox``, a scalar a level; (n, 5) proposals of each image, xyxy and score.
        """
        if not self.sampling or self.num_convs > 1:
            return super().forward_train(x, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore, proposal_cfg, **kwargs)
        sizes = [level.shape[-2:] for level in x]
        anchors, valid = self.get_anchors(sizes, img_metas, device=x[0].device)
        *targets, num_pos, num_neg = self.get_targets(
            anchors, valid, gt_bboxes, img_metas, gt_bboxes_ignore_list=gt_bboxes_ignore, gt_labels_list=gt_labels
        )
        losses = multi_apply(self._loss_of_samples, x, anchors[0], *targets, avg_factor=num_pos + num_neg)
        losses = dict(zip(('loss_rpn_cls', 'loss_rpn_bbox'), losses, strict=True))
        if proposal_cfg is None:
            return losses
        with torch.no_grad():
            outputs = self(x)
        return losses, self.get_bboxes(*outputs, img_metas=img_metas, cfg=proposal_cfg)

    def _loss_of_samples(
        self,
        feat: Tensor,
        anchors: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        avg_factor: int,
    ) -> tuple[Tensor, Tensor]:
        """Both losses of a level: its features (B, C, H, W), anchors (n, 4) and targets (B, n) and (B, n, 4)."""
        image, anchor = label_weights.nonzero(as_tuple=True)
        place = anchor // self.num_base_priors
        of_place = (torch.arange(len(anchor), device=feat.device), anchor % self.num_base_priors)
        scores, deltas = self._at(feat, image, place // feat.shape[-1], place % feat.shape[-1])
        scores = scores.view(len(anchor), self.num_base_priors, self.cls_out_channels)[of_place]
        deltas = deltas.view(len(anchor), self.num_base_priors, 4)[of_place]
        if self.reg_decoded_bbox:
            deltas = self.bbox_coder.decode(anchors[anchor], deltas)
        chosen = (image, anchor)
        return (
            self.loss_cls(scores, labels[chosen], label_weights[chosen], avg_factor=avg_factor),
            self.loss_bbox(deltas, bbox_targets[chosen], bbox_weights[chosen], avg_factor=avg_factor),
        )

    def _at(self, feat: Tensor, image: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
        """What ``forward_single`` gives at n positions: float32 scores (n, A * k) and deltas (n, A * 4)."""
        conv = self.rpn_conv
        taps = torch.arange(-1, 2, device=feat.device)
        rows = (row[:, None] + taps).repeat_interleave(3, dim=1)  # (n, 9), as the kernel's cells follow one another
        columns = (column[:, None] + taps).repeat(1, 3)
        height, width = feat.shape[-2:]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        patches = feat[image[:, None], :, rows.clamp(0, height - 1), columns.clamp(0, width - 1)] * inside[..., None]
        kernel = conv.weight.flatten(2).transpose(1, 2).flatten(1)
        hidden = F.linear(patches.flatten(1), kernel, conv.bias).relu()
        scores, deltas = (
            F.linear(hidden, layer.weight.flatten(1), layer.bias).float() for layer in (self.rpn_cls, self.rpn_reg)
        )
        return scores, deltas
