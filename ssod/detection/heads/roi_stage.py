"""One refinement of a RoI head: what Soft Teacher asks of it, whichever head it is."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.core import bbox2roi
from mmdet.core.bbox.samplers.sampling_result import SamplingResult
from mmdet.models import accuracy
from torch import Tensor, nn
from torch.nn import functional as F

from ..pseudo_labels import PseudoLabels

Feats = tuple[Tensor, ...]


class RoIOutputs(NamedTuple):
    """Raw outputs of a box head for n RoIs, in float32.

    Attributes:
        logits: (n, num_classes + 1), background last.
        deltas: (n, 4 * num_classes), or (n, 4) of a class-agnostic head.
    """

    logits: Tensor
    deltas: Tensor


class RoIStage:
    """The box branch of a ``StandardRoIHead``, as functions of boxes.

    Args:
        detector: two-stage detector of MMDetection; :func:`ssod.detection.heads.refuse_unfit` says which.
    """

    def __init__(self, detector: nn.Module) -> None:
        self.roi_head = detector.roi_head
        self.bbox_head = detector.roi_head.bbox_head
        self.train_cfg = (detector.train_cfg or {}).get('rcnn')

    def forward(self, feats: Feats, rois: Tensor) -> RoIOutputs:
        """Class logits and box deltas of RoIs.

        Args:
            feats: a feature map (B, C, H, W) per level.
            rois: (n, 5): image index, then xyxy in pixels of the batch's images.
        """
        results = self.roi_head._bbox_forward(feats, rois)
        return RoIOutputs(results['cls_score'].float(), results['bbox_pred'].float())

    def logits(self, feats: Feats, bboxes: Sequence[Tensor]) -> list[Tensor]:
        """Class logits of given boxes; image by image, for RoI features are the largest tensors of a step.

        Args:
            feats: of B images.
            bboxes: B tensors (n_i, 4), xyxy in pixels.

        Returns:
            B tensors (n_i, num_classes + 1).
        """
        logits = []
        for i, boxes in enumerate(bboxes):
            if len(boxes):
                logits.append(self.forward(image_feats(feats, i), bbox2roi([boxes])).logits)
            else:
                logits.append(boxes.new_zeros(0, self.bbox_head.num_classes + 1))
        return logits

    def refine(
        self, feats: Feats, img_metas: list[dict], bboxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> list[Tensor]:
        """Given boxes moved by the regression of their own class.

        Args:
            feats: of B images.
            img_metas: their metas; ``img_shape`` bounds the refined boxes, as in MMDetection's decoding.
            bboxes: B tensors (n_i, 4), xyxy in pixels.
            labels: B tensors (n_i,) int64.

        Returns:
            B tensors (n_i, 4), xyxy in pixels.
        """
        rois = bbox2roi(list(bboxes))
        if len(rois) == 0:
            return list(bboxes)
        deltas = self.forward(feats, rois).deltas
        if not self.bbox_head.reg_class_agnostic:
            classes = torch.cat(list(labels))
            deltas = deltas.view(len(deltas), -1, 4)[torch.arange(len(deltas), device=deltas.device), classes]
        boxes = self.bbox_head.bbox_coder.decode(rois[:, 1:], deltas)
        limits = rois.new_tensor([(meta['img_shape'][1], meta['img_shape'][0]) * 2 for meta in img_metas])
        boxes = torch.minimum(boxes.clamp(min=0), limits[rois[:, 0].long()])
        return list(boxes.split([len(own) for own in bboxes]))

    def decode(self, rois: Tensor, outputs: RoIOutputs, img_meta: dict) -> tuple[Tensor, Tensor]:
        """Boxes (n, 4 * num_classes), clipped to the image, and scores (n, num_classes + 1) of one image's RoIs."""
        return self.bbox_head.get_bboxes(rois, *outputs, img_meta['img_shape'], None, rescale=False, cfg=None)

    def sample(self, feats: Feats, proposals: list[Tensor], labels: list[PseudoLabels]) -> list[SamplingResult]:
        """Assign each image's proposals to its pseudo boxes and sample them, by the detector's own settings."""
        samples = []
        for i, (boxes, pseudo) in enumerate(zip(proposals, labels, strict=True)):
            assigned = self.roi_head.bbox_assigner.assign(boxes, pseudo.bboxes, None, pseudo.labels)
            sample = self.roi_head.bbox_sampler.sample
            samples.append(sample(assigned, boxes, pseudo.bboxes, pseudo.labels, feats=image_feats(feats, i)))
        return samples

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
        if avg_factor == 'samples':
            count += sum(len(sample.neg_inds) for sample in samples)
        for sample in samples:
            sample.neg_bboxes = sample.neg_bboxes[:0]
        targets = self._targets(samples, pseudo)
        losses = self.bbox_head.loss(None, deltas, rois, *targets, reduction_override='none')
        return losses['loss_bbox'].sum() / max(count, 1)

    def _targets(self, samples: list[SamplingResult], pseudo: list[PseudoLabels]) -> tuple[Tensor, ...]:
        bboxes, labels = [own.bboxes for own in pseudo], [own.labels for own in pseudo]
        return self.bbox_head.get_targets(samples, bboxes, labels, self.train_cfg)


def image_feats(feats: Feats, index: int) -> Feats:
    """Of feature maps (B, C, H, W), one per level, those of one image: (1, C, H, W) each."""
    return tuple(level[index : index + 1] for level in feats)


def background_mask(samples: list[SamplingResult]) -> Tensor:
    """(n,) bool over the samples of a batch, image after image, positives first in each: which are negatives."""
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
