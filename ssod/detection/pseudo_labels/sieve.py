"""Where the teacher's detections are lost on their way to a branch of the student."""

from typing import Any

import torch

from .structure import PseudoLabels


class Sieve:
    """Counts what is left of the teacher's detections after each step, since a branch last got a pseudo box.

    Attributes:
        detected: detections above ``candidate_score_thr``.
        candidates: of these, those larger than ``min_pseudo_bbox_size``.
        kept: of these, those that the branch's filter keeps.
        best_score: the highest score of a candidate; a scalar on the model's device, copied when somebody reads it.
        least_variance: the lowest regression variance of a candidate, or infinite.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start counting anew."""
        self.detected = self.candidates = self.kept = 0
        self.best_score, self.least_variance = torch.zeros(()), torch.full((), torch.inf)

    def add(self, detected: int, candidates: list[PseudoLabels], kept: int, placed: int) -> None:
        """Count one step of training.

        Args:
            detected: detections on the batch's weak views.
            candidates: of each image.
            kept: boxes that the branch's filter has kept.
            placed: those of them that lie in the strong views.
        """
        if placed:
            self.clear()
            return
        self.detected += detected
        self.candidates += sum(map(len, candidates))
        self.kept += kept
        for own in candidates:
            if len(own):
                self.best_score = torch.maximum(self.best_score.to(own.scores), own.scores.max())
            if len(own) and own.reg_variance is not None:
                self.least_variance = torch.minimum(self.least_variance.to(own.reg_variance), own.reg_variance.min())

    def cause(self, branch: str, keep: Any, settings: Any, max_score: float) -> str:
        """Which step loses the boxes, with the figures that say so, and the setting to change.

        Args:
            branch: 'cls', 'reg' or 'mask', for the name of the filter's setting.
            keep: the branch's filter.
            settings: of Soft Teacher.
            max_score: the teacher's highest foreground score on any proposal.
        """
        name = f'semi_train_cfg.{branch}_filter'
        if self.detected == 0:
            return (
                f"the teacher's scores are too low, the highest is {max_score:.2f} and a candidate needs "
                f'semi_train_cfg.candidate_score_thr={settings.candidate_score_thr}: train longer, start from a '
                'trained detector (load_from), or lower it'
            )
        if self.candidates == 0:
            return (
                f'all {self.detected} detections are too small, at most '
                f'semi_train_cfg.min_pseudo_bbox_size={settings.min_pseudo_bbox_size} pixels wide or high: lower it'
            )
        if self.kept == 0:
            return (
                f'{name}, {type(keep).__name__}{threshold(keep)}, rejects all {self.candidates} candidates, '
                f'{self.extremes(keep)}: {change(keep, name)}'
            )
        return (
            f'all {self.kept} boxes that {name} keeps lie outside the strong views: lower the ranges of the geometric '
            'ops in strong_pipeline'
        )

    def extremes(self, keep: Any) -> str:
        """The candidates' figure that a filter looks at."""
        if wants_variance(keep):
            return f'whose lowest regression variance is {float(self.least_variance):.3f}'
        return f'whose highest score is {float(self.best_score):.2f}'


def wants_variance(keep: Any) -> bool:
    """Whether a filter looks at the regression variance."""
    return hasattr(keep, 'variance') or hasattr(keep, 'spread')


def threshold(keep: Any) -> str:
    """'(thr=0.9)' of a filter with a threshold."""
    return f'(thr={keep.thr})' if hasattr(keep, 'thr') else ''


def change(keep: Any, name: str) -> str:
    """What to do about a filter that rejects all."""
    if not hasattr(keep, 'thr'):
        return f'change {name}'
    return f'train longer, or {"raise" if wants_variance(keep) else "lower"} {name}.thr'
