"""Which of the teacher's candidates a branch of the student learns from."""

from typing import NamedTuple, Protocol

import torch
from mmdet.models.builder import MODELS
from torch import Tensor

from ssod.core import check_choice

from .structure import PseudoLabels


class Refine(Protocol):
    """How a detector moves boxes: the box regression of one class, over the features that it has of B images."""

    def __call__(self, bboxes: list[Tensor], labels: list[Tensor]) -> list[Tensor]:
        """B tensors (m_i, 4), xyxy in pixels, and (m_i,) int64 -> B tensors (m_i, 4), clipped to their images."""


@MODELS.register_module()
class ScoreFilter:
    """Keeps candidates whose score exceeds ``thr`` (section 3.2; Table 9 varies it).

    Args:
        thr: in [0, 1].
        score: 'class', the probability of the candidate's own class (the authors' code), or 'foreground', that of any
            class (the paper's wording).
    """

    def __init__(self, thr: float = 0.9, score: str = 'class') -> None:
        if not 0 <= thr <= 1:
            raise ValueError(f'ScoreFilter: thr is a score in [0, 1], got {thr}')
        check_choice('ScoreFilter: score', score, ('class', 'foreground'))
        self.thr = thr
        self.score = score

    def __call__(self, candidates: PseudoLabels) -> Tensor:
        """(n,) bool: which of the n candidates of one image to keep."""
        scores = candidates.foreground_scores if self.score == 'foreground' else candidates.scores
        return scores > self.thr


class JitteredBoxes(NamedTuple):
    """What becomes of n candidates' jittered copies.

    Attributes:
        mean: (n, 4) mean of a candidate's refined copies, xyxy in pixels of the teacher view.
        variance: (n,) box regression variance: unbiased standard deviation of each side over the copies, divided by
            the size that ``relative_to`` names (at least 1 pixel), averaged over the four sides.
    """

    mean: Tensor
    variance: Tensor


@MODELS.register_module()
class JitterVarianceFilter:
    """Keeps candidates that the teacher's box regression agrees on (box jittering, section 3.3; Tables 10 and 11).

    Args:
        thr: largest box regression variance kept; a fraction of the box size.
        num_jitters: jittered boxes per candidate, at least 2.
        jitter_scale: size of a side's offset, as a fraction of the candidate's width or height.
        distribution: of the offsets: 'normal' with standard deviation ``jitter_scale`` (the authors' code), or
            'uniform' in [-jitter_scale, jitter_scale] (the paper's wording).
        relative_to: what the spread of each side is divided by: 'refined', width or height of the mean refined box
            (the authors' code), or 'candidate', ``0.5 * (h + w)`` of the candidate (the paper's wording).
        stages: which stages of a cascade refine the jittered boxes: 'all', one after another, as a detection is made,
            or the number of one, from 0.
    """

    def __init__(
        self,
        thr: float = 0.02,
        num_jitters: int = 10,
        jitter_scale: float = 0.06,
        distribution: str = 'normal',
        relative_to: str = 'refined',
        stages: str | int = 'all',
    ) -> None:
        if num_jitters < 2:
            raise ValueError(f'JitterVarianceFilter: a spread needs num_jitters of at least 2, got {num_jitters}')
        if not thr >= 0:
            raise ValueError(f'JitterVarianceFilter: thr is a variance, 0 or more, got {thr}')
        if not 0 < jitter_scale < float('inf'):
            raise ValueError(f'JitterVarianceFilter: jitter_scale is a share above 0, got {jitter_scale}')
        check_choice('JitterVarianceFilter: distribution', distribution, ('normal', 'uniform'))
        check_choice('JitterVarianceFilter: relative_to', relative_to, ('refined', 'candidate'))
        self.thr = thr
        self.num_jitters = num_jitters
        self.jitter_scale = jitter_scale
        self.distribution = distribution
        self.relative_to = relative_to
        self.stages = stages

    def __call__(self, candidates: PseudoLabels) -> Tensor:
        """(n,) bool: which of the n candidates of one image to keep."""
        return candidates.reg_variance < self.thr

    def variance(self, refine: Refine, bboxes: list[Tensor], labels: list[Tensor]) -> list[Tensor]:
        """Box regression variance of every candidate, B tensors (n_i,); see :meth:`refine_jittered`."""
        return [copies.variance for copies in self.refine_jittered(refine, bboxes, labels)]

    @torch.no_grad()
    def refine_jittered(self, refine: Refine, bboxes: list[Tensor], labels: list[Tensor]) -> list[JitteredBoxes]:
        """Mean and spread of every candidate's jittered copies after refinement.

        Args:
            refine: the teacher's box regression of B images; see :class:`Refine`.
            bboxes: B tensors (n_i, 4) or wider, xyxy in pixels of the teacher view.
            labels: B tensors (n_i,) int64.
        """
        sizes, together = [len(boxes) for boxes in bboxes], torch.cat([boxes[:, :4] for boxes in bboxes])
        noise = torch.cat([self._noise(boxes) for boxes in bboxes], dim=1)
        copies = [size * self.num_jitters for size in sizes]
        jittered = self._jitter(together, noise).transpose(0, 1).flatten(0, 1).split(copies)
        classes = torch.cat(list(labels))[:, None].expand(-1, self.num_jitters).flatten().split(copies)
        refined = torch.cat(refine(list(jittered), list(classes))).view(-1, self.num_jitters, 4).transpose(0, 1)
        mean = refined.mean(dim=0)
        size = side_lengths(mean)
        if self.relative_to == 'candidate':
            size = side_lengths(together).mean(dim=1, keepdim=True)
        spread = relative_spread(refined, size)
        return [JitteredBoxes(*own) for own in zip(mean.split(sizes), spread.split(sizes), strict=True)]

    def _noise(self, bboxes: Tensor) -> Tensor:
        """(num_jitters, n, 4) for n candidates of one image, one draw from torch's default generator."""
        shape = (self.num_jitters, len(bboxes), 4)
        if self.distribution == 'normal':
            return torch.randn(shape, device=bboxes.device)
        return torch.rand(shape, device=bboxes.device) * 2 - 1

    def _jitter(self, bboxes: Tensor, noise: Tensor | None = None) -> Tensor:
        """(n, 4) candidates -> (num_jitters, n, 4), with the noise of that shape; None: of one image, drawn here."""
        noise = self._noise(bboxes) if noise is None else noise
        corners = (bboxes + noise * (side_lengths(bboxes) * self.jitter_scale)).unflatten(-1, (2, 2))
        # A box of less than a pixel may turn inside out, which mmcv's RoIAlign does not take on a CPU.
        return torch.cat([corners.amin(dim=-2), corners.amax(dim=-2)], dim=-1)


def side_lengths(bboxes: Tensor) -> Tensor:
    """(n, 4) or wider, xyxy -> (n, 4): width, height, width, height in pixels, at least 1."""
    return (bboxes[:, 2:4] - bboxes[:, :2]).clamp(min=1).repeat(1, 2)


def relative_spread(refined: Tensor, size: Tensor) -> Tensor:
    """Mean over the sides of std / size (section 3.3).

    Args:
        refined: (N, n, 4), N refined copies of n boxes.
        size: (n, 4) or (n, 1), in pixels.

    Returns:
        (n,).
    """
    squares = (refined - refined.mean(dim=0)).square().sum(dim=0)
    std = (squares / (len(refined) - 1)).sqrt()  # torch's own warns when n is 0
    return (std / size).mean(dim=1)
