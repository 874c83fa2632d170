"""What the masks of one stage teach it on unlabeled images."""

import torch
from mmdet.core.bbox.samplers import SamplingResult
from torch import Tensor, nn
from torch.nn import functional as F

from ..pseudo_labels import PseudoLabels
from ..pseudo_labels.masks import mask_scores, sample_masks


class MaskLosses:
    """The loss of a mask head, without the weight of its stage.

    Attributes:
        mask_head: the head; None if the detector has none.
    """

    mask_head: nn.Module | None

    def own_masks(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of mask logits (n, num_classes, S, S), or (n, 1, S, S) of a class-agnostic head, those of classes (n,)."""
        channels = torch.zeros_like(labels) if self.mask_head.class_agnostic else labels
        return logits[torch.arange(len(logits), device=logits.device), channels]

    def mask_loss(
        self,
        logits: Tensor,
        samples: list[SamplingResult],
        pseudo: list[PseudoLabels],
        target: str = 'hard',
        ignore: tuple[float, float] | None = None,
        score_power: float = 0.0,
    ) -> Tensor:
        """Binary cross entropy of the positives' masks with the teacher's, the mean over the pixels that count.

        Args:
            logits: (m, num_classes or 1, S, S) of the batch's m positives, image after image.
            samples: of each image.
            pseudo: of each image, with masks.
            target: 'hard', the teacher's probability is at least 0.5, or 'soft', the probability.
            ignore: pixels whose probability lies between the two do not count; None: all count.
            score_power: each RoI's loss is multiplied by its mask's score to this power; see :func:`mask_scores`.

        Returns:
            A scalar; 0, tied to the head, without positives.
        """
        own = self.own_masks(logits, torch.cat([sample.pos_gt_labels for sample in samples]))
        taught = [labels[sample.pos_assigned_gt_inds] for labels, sample in zip(pseudo, samples, strict=True)]
        masks, boxes, matrices = (
            torch.cat([getattr(labels, name) for labels in taught]) for name in ('masks', 'mask_boxes', 'mask_matrices')
        )
        windows = torch.cat([sample.pos_bboxes for sample in samples])
        found = sample_masks(masks, boxes, matrices, windows, own.shape[-2:])
        counts = torch.ones_like(found) if ignore is None else ((found <= ignore[0]) | (found >= ignore[1])).float()
        losses = F.binary_cross_entropy_with_logits(
            own, found if target == 'soft' else (found >= 0.5).float(), counts, reduction='none'
        )
        if score_power:
            losses = losses * mask_scores(masks).pow(score_power)[:, None, None]
        return self.mask_head.loss_mask.loss_weight * losses.sum() / counts.sum().clamp(min=1)
