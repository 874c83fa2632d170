"""Online hard example mining whose mean is over the pixels that it keeps."""

import torch
from mmseg.models.builder import LOSSES
from torch import Tensor, nn
from torch.nn import functional as F


@LOSSES.register_module()
class OHEMCrossEntropy(nn.Module):
    """Cross entropy over the hard pixels: the mean over those that are kept, as in CPS and UniMatch.

    MMSegmentation's ``OHEMPixelSampler`` only multiplies by a weight: its mean stays one over all pixels.

    Args:
        thresh: valid pixels whose label has at most this probability are kept.
        min_kept: per image; at least so many of the hardest are kept, all if there are fewer.
        loss_weight: factor.
        loss_name: in the log.
    """

    def __init__(
        self, thresh: float = 0.7, min_kept: int = 50000, loss_weight: float = 1.0, loss_name: str = 'loss_ce'
    ) -> None:
        super().__init__()
        self.thresh, self.min_kept, self.loss_weight, self.loss_name = thresh, min_kept, loss_weight, loss_name

    def forward(self, logits: Tensor, labels: Tensor, weight: None = None, ignore_index: int = 255) -> Tensor:
        """A scalar, 0 without a valid pixel.

        Args:
            logits: (N, C, H, W).
            labels: (N, H, W).
            weight: None: a pixel sampler beside this loss would have no effect.

        Raises:
            ValueError: ``weight`` is given.
        """
        if weight is not None:
            raise ValueError('OHEMCrossEntropy samples pixels itself: remove sampler from the decode head')
        valid = labels != ignore_index
        losses = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction='none')
        if not valid.any():
            return losses.sum()
        with torch.no_grad():
            probability = (-losses[valid]).exp()
            least = min(self.min_kept * len(labels), len(probability))
            limit = probability.kthvalue(least).values.clamp(min=self.thresh) if least else self.thresh
        return self.loss_weight * losses[valid][probability <= limit].mean()
