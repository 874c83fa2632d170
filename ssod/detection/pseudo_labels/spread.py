"""How far the predictions around a detection disagree about its box."""

import torch
from mmdet.core import bbox_overlaps
from mmdet.models.builder import MODELS
from torch import Tensor

from .structure import PseudoLabels


@MODELS.register_module()
class PredictionSpreadFilter:
    """Keeps candidates on whose box the predictions around it agree: for dense heads, at no further pass.

    A dense head predicts the box of an object from many places. NMS keeps one of these boxes; how far the others lie
    apart says how sure the head is, as the variance of jittered boxes does in Soft Teacher's second stage. Ours,
    without published evidence.

    Args:
        thr: largest spread kept, a fraction of the box size.
        iou_thr: predictions of the candidate's class that overlap it so much are of the same object.
        least: a candidate with fewer of them, itself included, is dropped.
    """

    def __init__(self, thr: float = 0.05, iou_thr: float = 0.6, least: int = 3) -> None:
        if not 0 < iou_thr < 1 or least < 2:
            raise ValueError(
                f'PredictionSpreadFilter: iou_thr is in (0, 1) and least 2 or more, got {iou_thr}, {least}'
            )
        self.thr, self.iou_thr, self.least = thr, iou_thr, least

    def __call__(self, candidates: PseudoLabels) -> Tensor:
        """(n,) bool: which of the n candidates of one image to keep."""
        return candidates.reg_variance < self.thr

    @torch.no_grad()
    def spread(self, candidates: PseudoLabels, predictions: PseudoLabels) -> Tensor:
        """Standard deviation of each side over a candidate's predictions, weighted by their scores, over the size.

        Args:
            candidates: n of one image.
            predictions: all of the image, before NMS.

        Returns:
            (n,): the mean of the four sides, each divided by width or height of the mean box (at least 1 pixel);
            infinite with fewer than ``least`` predictions.
        """
        same = candidates.labels[:, None] == predictions.labels
        near = same & (bbox_overlaps(candidates.bboxes, predictions.bboxes) >= self.iou_thr)
        weights = near * predictions.scores
        total = weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).eps)
        mean = weights @ predictions.bboxes / total
        squares = (predictions.bboxes - mean[:, None]).square()
        std = ((weights[..., None] * squares).sum(dim=1) / total).sqrt()
        size = (mean[:, 2:] - mean[:, :2]).clamp(min=1).repeat(1, 2)
        return (std / size).mean(dim=1).masked_fill(near.sum(dim=1) < self.least, torch.inf)
