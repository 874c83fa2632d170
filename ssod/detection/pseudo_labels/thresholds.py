"""Score thresholds that each class finds for itself, from the scores that its candidates have."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from mmdet.models.builder import MODELS
from torch import Tensor, nn

from ssod.core import check_choice

from .mixture import upper_threshold
from .structure import PseudoLabels


class ClassThresholds(nn.Module, ABC):
    """Keeps candidates whose score exceeds the threshold of their class; the thresholds follow the training.

    What has been seen is in buffers, so that it is in checkpoints and a resumed run goes on as if it had not stopped.
    With several processes each follows the images that it sees.
    """

    @abstractmethod
    def reserve(self, num_classes: int) -> None:
        """Make the buffers for so many classes; before anything is seen."""

    @abstractmethod
    def thresholds(self) -> Tensor:
        """(num_classes,) scores."""

    @abstractmethod
    def observe(self, candidates: list[PseudoLabels]) -> None:
        """Learn from the candidates of a batch of unlabeled images, after the student has learned from them."""

    def count_labels(self, labels: list[Tensor]) -> None:  # noqa: B027  not every kind asks for them
        """Learn from the true classes, (n_i,) int64 each, of a batch of labeled images."""

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """A checkpoint without thresholds, of a plain detector say, leaves them as they are."""
        for name, value in self._buffers.items():
            state_dict.setdefault(prefix + name, value)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, candidates: PseudoLabels) -> Tensor:
        """(n,) bool: which of the n candidates of one image to keep."""
        return candidates.scores > self.thresholds()[candidates.labels]


@MODELS.register_module()
class RankThresholdFilter(ClassThresholds):
    """Keeps of each class as many candidates as its share of the labeled images' boxes lets expect (LabelMatch).

    A class has n_c boxes per labeled image, so N unlabeled images hold about ``n_c * N``. Its threshold is the score
    that ``share`` of as many candidates exceed: adaptive label-distribution matching (Chen et al., Label Matching
    Semi-Supervised Object Detection, CVPR 2022, section 3.2). The authors pass all unlabeled images through the teacher
    every 1000 iterations. This form costs nothing: it counts the candidates of training, the last ``memory`` images
    most (an image's share of the memory falls by 1 / memory with each that comes).

    Args:
        share: of the boxes that a class is expected to have, those that are learned from.
        floor: no threshold is lower.
        memory: unlabeled images that the scores of a class are remembered for, about.
        bins: of the scores' histogram; a threshold is a multiple of 1 / bins.

    Raises:
        ValueError: a value outside its range.
    """

    def __init__(self, share: float = 0.2, floor: float = 0.3, memory: int = 5000, bins: int = 200) -> None:
        super().__init__()
        if not 0 < share <= 1 or not 0 <= floor <= 1:
            raise ValueError(f'RankThresholdFilter: share and floor are in [0, 1], got {share} and {floor}')
        if memory < 1 or bins < 2:
            raise ValueError(f'RankThresholdFilter: memory and bins count from 1 and 2 on, got {memory} and {bins}')
        self.share, self.floor, self.memory, self.bins = share, floor, memory, bins

    def reserve(self, num_classes: int) -> None:
        """Histograms of scores, (num_classes, bins); boxes per class; images of both kinds."""
        self.register_buffer('histogram', torch.zeros(num_classes, self.bins))
        self.register_buffer('boxes', torch.zeros(num_classes))
        self.register_buffer('images', torch.zeros(2))  # labeled, unlabeled

    def thresholds(self) -> Tensor:
        """(num_classes,); 1 of a class without a candidate or without a box so far."""
        labeled, unlabeled = self.images
        quota = self.share * self.boxes / labeled.clamp(min=1) * unlabeled
        above = self.histogram.flip(1).cumsum(1).flip(1)  # candidates in a bin and those over it
        # The sums of a histogram that fades are rarely whole: what is over the quota by rounding is not over it.
        lowest = (above > quota[:, None] + 1e-4).sum(1) / self.bins
        return torch.where(above[:, 0] > 0, lowest, 1.0).clamp(min=self.floor)

    @torch.no_grad()
    def observe(self, candidates: list[PseudoLabels]) -> None:
        """Count the candidates of each class by their scores."""
        keep = (1 - 1 / self.memory) ** len(candidates)
        labels = torch.cat([own.labels for own in candidates])
        scores = torch.cat([own.scores for own in candidates])
        bins = (scores.float() * self.bins).long().clamp(0, self.bins - 1)
        new = torch.bincount(labels * self.bins + bins, minlength=self.histogram.numel())
        self.histogram.mul_(keep).add_(new.view_as(self.histogram))
        self.images[1] = self.images[1] * keep + len(candidates)

    @torch.no_grad()
    def count_labels(self, labels: list[Tensor]) -> None:
        """Count the boxes of each class."""
        keep = (1 - 1 / self.memory) ** len(labels)
        new = torch.bincount(torch.cat(labels), minlength=len(self.boxes))
        self.boxes.mul_(keep).add_(new)
        self.images[0] = self.images[0] * keep + len(labels)


@MODELS.register_module()
class MixtureThresholdFilter(ClassThresholds):
    """Splits each class's scores into two groups and keeps the upper one's better part (Consistent-Teacher).

    Two Gaussians are fitted to the last ``memory`` scores of a class; the threshold is the score of highest likelihood
    in the upper one (Wang et al., Consistent-Teacher, CVPR 2023, section 3.3). Beforehand an image keeps as many of its
    candidates, the best, as their scores add up to.

    Args:
        thr: of a class with fewer than four scores, or without an upper group.
        memory: scores of a class.
        fit: 'authors', as their code does: it ends so early that the threshold is, in most cases, the least score above
            the mean; 'settled', until nothing moves, and scores that are one group have the threshold ``thr``. See
            :func:`ssod.detection.pseudo_labels.mixture.fit`.

    Raises:
        ValueError: a value outside its range.
    """

    def __init__(self, thr: float = 0.5, memory: int = 100, fit: str = 'authors') -> None:
        super().__init__()
        if not 0 <= thr <= 1:
            raise ValueError(f'MixtureThresholdFilter: thr is a score in [0, 1], got {thr}')
        if memory < 4:
            raise ValueError(f'MixtureThresholdFilter: memory is at least 4, got {memory}')
        check_choice('MixtureThresholdFilter: fit', fit, ('authors', 'settled'))
        self.fallback, self.memory, self.fit = thr, memory, fit

    def reserve(self, num_classes: int) -> None:
        """The last scores of each class, newest first; -1 where there is none yet."""
        self.register_buffer('scores', torch.full((num_classes, self.memory), -1.0))

    def thresholds(self) -> Tensor:
        """(num_classes,), each fitted anew."""
        return upper_threshold(self.scores, self.fallback, settled=self.fit == 'settled')

    @torch.no_grad()
    def observe(self, candidates: list[PseudoLabels]) -> None:
        """Remember the scores of the candidates that their images keep."""
        best = [own[best_of_image(own.scores)] for own in candidates]
        labels, scores = (torch.cat([getattr(own, key) for own in best]) for key in ('labels', 'scores'))
        for label in labels.unique().tolist():
            self.scores[label] = torch.cat([scores[labels == label].float(), self.scores[label]])[: self.memory]

    def forward(self, candidates: PseudoLabels) -> Tensor:
        """(n,) bool: which of the n candidates of one image to keep."""
        reached = candidates.scores >= self.thresholds()[candidates.labels].to(candidates.scores)
        return reached & best_of_image(candidates.scores)


def best_of_image(scores: Tensor) -> Tensor:
    """(n,) bool: the round(sum of the scores) highest of an image's n scores."""
    count = int(scores.sum().round()) if len(scores) else 0
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    chosen[scores.topk(min(count, len(scores))).indices] = True
    return chosen


def build_filter(cfg: dict, num_classes: int | None) -> Any:
    """A filter from its config, ready for a detector of so many classes."""
    built = MODELS.build(cfg)
    if isinstance(built, ClassThresholds):
        built.reserve(num_classes)
    return built
