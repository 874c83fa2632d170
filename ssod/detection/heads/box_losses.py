"""What the boxes of one stage teach it: the losses of classification and regression on unlabeled images."""

import torch
from mmdet.core.bbox.samplers import SamplingResult
from mmdet.models import accuracy
from torch import Tensor, nn
from torch.nn import functional as F

from ssod.accel import BatchSamples, deltas_of

from ..pseudo_labels import PseudoLabels


class BoxLosses:
    """The losses of a box head, without the weight of its stage.

    Attributes:
        bbox_head: the head.
        train_cfg: MMDetection's settings of the stage.
    """

    bbox_head: nn.Module
    train_cfg: dict

    def cls_loss(
        self,
        logits: Tensor,
        samples: list[SamplingResult],
        pseudo: list[PseudoLabels],
        background: Tensor | None,
        avg_factor: str,
    ) -> dict[str, Tensor]:
        """Cross entropy, foreground with weight 1, background with r_j (section 3.2, equation 3).

        Args:
            logits: (n, num_classes + 1) of the batch's samples, image after image.
            samples, pseudo: of each image.
            background: (m,) weights r_j of the m negatives, image after image; None: 1 each.
            avg_factor: 'weights', over the sum of all weights, or 'separate', each kind over its own sum.

        Returns:
            ``loss_cls`` and ``acc``, scalars.
        """
        labels, weights, *_ = self._targets(samples, pseudo)
        is_background = background_mask(samples)
        if background is not None:
            weights = weights.masked_scatter(is_background, background)
        loss = self.bbox_head.loss_cls(logits, labels, weights, reduction_override='none')
        if avg_factor == 'weights':
            loss = loss.sum() / weights.sum().clamp(min=1)
        else:
            loss = weighted_mean(loss, weights, is_background) + weighted_mean(loss, weights, ~is_background)
        acc = accuracy(logits, labels) if len(labels) else logits.new_zeros(())
        return dict(loss_cls=loss, acc=acc.reshape(()))

    def soft_cls_loss(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Cross entropy with the teacher's class probabilities, the mean over the samples.

        Args:
            logits: (n, num_classes + 1) of the batch's samples.
            targets: (n, num_classes + 1), probabilities.

        Returns:
            ``loss_cls`` and ``acc``, scalars; ``acc``: in how many percent both find the same class the likeliest.
        """
        weight = self.bbox_head.loss_cls.loss_weight
        if len(logits) == 0:
            return dict(loss_cls=logits.sum(), acc=logits.new_zeros(()))
        acc = accuracy(logits, targets.argmax(dim=-1))
        return dict(loss_cls=weight * F.cross_entropy(logits, targets), acc=acc.reshape(()))

    def reg_loss(
        self,
        deltas: Tensor,
        rois: Tensor,
        samples: list[SamplingResult],
        pseudo: list[PseudoLabels],
        avg_factor: str,
    ) -> Tensor:
        """Box loss of the positives (section 3.3, equation 5).

        Args:
            deltas: (m, 4 * num_classes) or (m, 4) of the batch's m positives, image after image.
            rois: (m, 5), theirs.
            samples, pseudo: of each image.
            avg_factor: 'samples', over the number of sampled RoIs, or 'positives', over m.
        """
        count = len(rois)
        if isinstance(samples, BatchSamples):
            return self._reg_loss_of_all(deltas, rois, samples, avg_factor)
        if avg_factor == 'samples':
            count += sum(len(sample.neg_inds) for sample in samples)
        for sample in samples:
            sample.neg_bboxes = sample.neg_bboxes[:0]
        targets = self._targets(samples, pseudo)
        losses = self.bbox_head.loss(None, deltas, rois, *targets, reduction_override='none')
        return losses['loss_bbox'].sum() / max(count, 1)

    def _reg_loss_of_all(self, deltas: Tensor, rois: Tensor, samples: BatchSamples, avg_factor: str) -> Tensor:
        """As :meth:`reg_loss`, without asking the device which the positives are."""
        head = self.bbox_head
        if len(rois) == 0:
            return deltas.sum()
        if head.reg_decoded_bbox:
            deltas = head.bbox_coder.decode(rois[:, 1:], deltas)
        found = deltas_of(deltas, samples.labels[samples.positives], head)
        targets = samples.positive_targets(head)
        losses = head.loss_bbox(found, targets, torch.ones_like(targets), reduction_override='none')
        return losses.sum() / (len(samples.rois) if avg_factor == 'samples' else len(rois))

    def _targets(self, samples: list[SamplingResult], pseudo: list[PseudoLabels]) -> tuple[Tensor, ...]:
        if isinstance(samples, BatchSamples):
            return samples.targets(self.bbox_head, self.train_cfg)
        bboxes, labels = [own.bboxes for own in pseudo], [own.labels for own in pseudo]
        return self.bbox_head.get_targets(samples, bboxes, labels, self.train_cfg)


def background_mask(samples: list[SamplingResult]) -> Tensor:
    """(n,) bool over the samples of a batch, image after image, positives first in each: which are negatives."""
    if isinstance(samples, BatchSamples):
        return ~samples.positive
    return torch.cat(
        [torch.arange(len(sample.bboxes), device=sample.bboxes.device) >= len(sample.pos_bboxes) for sample in samples]
    )


def background_logits(cls_score: Tensor, samples: list[SamplingResult]) -> Tensor:
    """Rows of the (n, C) logits of a batch's samples that belong to negatives; see :func:`background_mask`."""
    images = cls_score.split([len(sample.bboxes) for sample in samples])
    return torch.cat([rows[len(sample.pos_bboxes) :] for rows, sample in zip(images, samples, strict=True)])


def weighted_mean(losses: Tensor, weights: Tensor, kind: Tensor) -> Tensor:
    """Sum over the sum of the weights, of those (n,) losses, weighted already, that ``kind`` (n,) bool names; or 0."""
    # Not smaller: a scaled loss's gradient over it must stay finite.
    return (losses * kind).sum() / (weights * kind).sum().clamp(min=torch.finfo(weights.dtype).eps)
