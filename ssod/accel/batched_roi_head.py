"""MMDetection's RoI head, which samples and compares all images at once where launches are what counts."""

from typing import Any

import torch
from mmdet.models import StandardRoIHead, accuracy
from torch import Tensor

from ssod.core.hardware import launch_bound

from .batched_assignment import assigns_at_once, samples_at_once
from .batched_samples import BatchSamples, deltas_of, is_plain, sample_rois


class BatchedRoIHead(StandardRoIHead):
    """MMDetection's ``StandardRoIHead``: on a GPU the images of a batch at once, on a CPU its own.

    Same losses for the same samples; which RoIs are sampled is another draw of the same distribution.
    """

    def samples_at_once(self, device: torch.device) -> bool:
        """Whether :func:`ssod.accel.batched_samples.sample_rois` does what this head's assigner and sampler do."""
        known = assigns_at_once(self.bbox_assigner) and samples_at_once(self.bbox_sampler)
        return launch_bound(device) and known and is_plain(self.bbox_head)

    def forward_train(
        self,
        x: tuple[Tensor, ...],
        img_metas: list[dict],
        proposal_list: list[Tensor],
        gt_bboxes: list[Tensor],
        gt_labels: list[Tensor],
        gt_bboxes_ignore: list[Tensor] | None = None,
        gt_masks: list | None = None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """The losses of labeled images, as MMDetection's."""
        if not self.with_bbox or not self.samples_at_once(x[0].device):
            return super().forward_train(
                x, img_metas, proposal_list, gt_bboxes, gt_labels, gt_bboxes_ignore, gt_masks, **kwargs
            )
        samples = sample_rois(
            self.bbox_assigner, self.bbox_sampler, proposal_list, gt_bboxes, gt_labels, gt_bboxes_ignore
        )
        results = self._bbox_forward(x, samples.rois)
        losses = self._losses_of(results['cls_score'].float(), results['bbox_pred'].float(), samples)
        if self.with_mask:
            masks = self._mask_forward_train(x, samples, results['bbox_feats'], gt_masks, img_metas)
            losses.update(masks['loss_mask'])
        return losses

    def _losses_of(self, logits: Tensor, deltas: Tensor, samples: BatchSamples) -> dict[str, Tensor]:
        """As ``BBoxHead.loss``, which would ask the device five times for what is known here."""
        head = self.bbox_head
        if len(logits) == 0:
            return dict(loss_bbox=deltas.sum())
        labels, weights, targets, target_weights = samples.targets(head, self.train_cfg)
        losses = dict(loss_cls=head.loss_cls(logits, labels, weights, avg_factor=len(labels)))
        losses['acc'] = accuracy(logits, labels)
        rows = samples.positives
        if len(rows) == 0:
            return losses | dict(loss_bbox=deltas[:0].sum())
        found = deltas[rows]
        if head.reg_decoded_bbox:
            found = head.bbox_coder.decode(samples.rois[rows, 1:], found)
        found = deltas_of(found, labels[rows], head)
        losses['loss_bbox'] = head.loss_bbox(found, targets[rows], target_weights[rows], avg_factor=len(labels))
        return losses
