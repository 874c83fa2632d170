"""MMDetection's RPN head, whose losses are computed where anchors were sampled and nowhere else."""

from typing import Any

import torch
from mmcv import ConfigDict
from mmcv.runner import force_fp32
from mmdet.core import multi_apply
from mmdet.models import HEADS
from torch import Tensor
from torch.nn import functional as F

from ssod.core.hardware import launch_bound

from .batched_rpn import BatchedRPNHead

Samples = tuple[Tensor, Tensor]  # (n,) int64 each: index of the image, of the anchor


@HEADS.register_module()
class SampledRPNHead(BatchedRPNHead):
    """MMDetection's ``RPNHead`` (Faster R-CNN, section 3.1), same arguments, same proposals and same losses.

    256 anchors an image count in the losses, of tens of thousands. Their scores and deltas are computed a second time,
    with a gradient; the pass over all positions, which proposals need, keeps nothing for the backward pass. A head
    that does not sample (focal loss) or has several convolutions trains as MMDetection's. On a GPU kernels are dearer
    than arithmetic: see :class:`ssod.accel.batched_rpn.BatchedRPNHead`.
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
            x: a feature map (B, C, H, W) per level.
            img_metas: of each image ``img_shape`` and ``pad_shape``.
            gt_bboxes: (n, 4) of each image, xyxy in pixels of the batch's images.
            gt_labels: None; a RPN knows objects only.
            gt_bboxes_ignore: boxes that say nothing, or None.
            proposal_cfg: how many proposals, of what size, and their NMS.

        Returns:
            ``loss_rpn_cls`` and ``loss_rpn_bbox``, a scalar per level; (n, 5) proposals of each image, xyxy and score.
        """
        if launch_bound(x[0].device) or not self.sampling or self.num_convs > 1:
            return super().forward_train(x, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore, proposal_cfg, **kwargs)
        sizes = [level.shape[-2:] for level in x]
        anchors, valid = self.get_anchors(sizes, img_metas, device=x[0].device)
        *targets, num_pos, num_neg = self.get_targets(
            anchors, valid, gt_bboxes, img_metas, gt_bboxes_ignore_list=gt_bboxes_ignore, gt_labels_list=gt_labels
        )
        samples = [label_weights.nonzero(as_tuple=True) for label_weights in targets[1]]
        outputs = self(x, samples)
        losses = multi_apply(self._losses, *outputs, samples, anchors[0], *targets, avg_factor=num_pos + num_neg)
        losses = dict(zip(('loss_rpn_cls', 'loss_rpn_bbox'), losses, strict=True))
        if proposal_cfg is None:
            return losses
        with torch.no_grad():
            outputs = self(x)
        return losses, self.get_bboxes(*outputs, img_metas=img_metas, cfg=proposal_cfg)

    def forward(self, feats: tuple[Tensor, ...], samples: list[Samples] | None = None) -> tuple[list[Tensor], ...]:
        """Class scores and box deltas, a tensor per level.

        Args:
            feats: a feature map (B, C, H, W) per level.
            samples: images and anchors, counted through rows, columns and the A anchors of a place; None: all.

        Returns:
            Of n samples (n, k) and (n, 4), k being the classes' channels; of all (B, A * k, H, W) and (B, A * 4, H, W).
        """
        return super().forward(feats) if samples is None else multi_apply(self._at, feats, samples)

    def _at(self, feat: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
        """What ``forward_single`` gives for the samples: both kernels are applied to what lies about them alone."""
        image, anchor = samples
        (height, width), taps = feat.shape[-2:], torch.arange(-1, 2, device=feat.device)
        place = anchor // self.num_base_priors
        rows = (place // width)[:, None] + taps.repeat_interleave(3)  # (n, 9), as the kernel's cells follow one another
        columns = (place % width)[:, None] + taps.repeat(3)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        patches = feat[image[:, None], :, rows.clamp(0, height - 1), columns.clamp(0, width - 1)] * inside[..., None]
        kernel = self.rpn_conv.weight.flatten(2).transpose(1, 2).flatten(1)
        hidden = F.linear(patches.flatten(1), kernel, self.rpn_conv.bias).relu()
        of_place = (torch.arange(len(anchor), device=feat.device), anchor % self.num_base_priors)
        scores, deltas = (
            F.linear(hidden, layer.weight.flatten(1), layer.bias).unflatten(1, (self.num_base_priors, -1))[of_place]
            for layer in (self.rpn_cls, self.rpn_reg)
        )
        return scores, deltas

    @force_fp32(apply_to=('scores', 'deltas'))  # as MMDetection's `loss`
    def _losses(
        self,
        scores: Tensor,
        deltas: Tensor,
        samples: Samples,
        anchors: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        avg_factor: int,
    ) -> tuple[Tensor, Tensor]:
        """Both losses of a level: outputs of its samples, its N anchors (N, 4), targets (B, N) and (B, N, 4)."""
        if self.reg_decoded_bbox:
            deltas = self.bbox_coder.decode(anchors[samples[1]], deltas)
        return (
            self.loss_cls(scores, labels[samples], label_weights[samples], avg_factor=avg_factor),
            self.loss_bbox(deltas, bbox_targets[samples], bbox_weights[samples], avg_factor=avg_factor),
        )
