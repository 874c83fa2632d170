"""A closer look at what a model found on a labeled set: by class, by threshold, by image."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from .measures import LabelQuality

THRESHOLDS = tuple(round(0.01 * i, 2) for i in range(1, 100))


@dataclass(frozen=True)
class Curve:
    """One class at each of ``THRESHOLDS``.

    Attributes:
        precision: share of what scores above the threshold that is right; None where nothing scores above.
        recall: share of the true objects, or pixels, that is found.
    """

    precision: list[float | None]
    recall: list[float]

    @property
    def f1(self) -> list[float]:
        """Harmonic mean of both; 0 where nothing is right."""
        pairs = zip(self.precision, self.recall, strict=True)
        return [2 * p * r / (p + r) if p and r else 0.0 for p, r in pairs]

    def best(self) -> tuple[float, float] | None:
        """The threshold of the highest F1, the lowest of several, and that F1; None where nothing is ever right."""
        f1 = self.f1
        place = max(range(len(f1)), key=f1.__getitem__)
        return (THRESHOLDS[place], f1[place]) if f1[place] > 0 else None


@dataclass(frozen=True)
class Examination:
    """What is kept of a model's results on a set; plain values, so that it is a small JSON file.

    Attributes:
        label: name of the classes' metric, 'mAP' say.
        classes: their names.
        class_scores: the metric of each, in [0, 1]; None without a label.
        class_counts: true objects, or pixels, of each.
        curves: of each class, above which score what is right; empty where the results have no scores.
        confusion: rows are true classes, columns found ones, in objects or pixels. Where it has one row and column more
            than classes, the last row is what was found where nothing is, the last column what was not found.
        confusion_thr: score above which the confusion counts, None without scores.
        image_score: name of the images' score.
        images: file name of each image.
        image_scores: of each, in [0, 1]; None for one without label and finding.
    """

    label: str
    classes: list[str]
    class_scores: list[float | None]
    class_counts: list[int]
    confusion: list[list[int]]
    image_score: str
    images: list[str]
    image_scores: list[float | None]
    confusion_thr: float | None = None
    curves: list[Curve] = field(default_factory=list)

    def extremes(self, worst: int = 6, best: int = 3) -> list[int]:
        """Places of the images with the lowest scores, then of those with the highest, each once."""
        known = [place for place, score in enumerate(self.image_scores) if score is not None]
        order = sorted(known, key=lambda place: (self.image_scores[place], place))
        rest = order[worst:]
        return order[:worst] + rest[::-1][:best]


class Examiner(ABC):
    """How a task examines results, and draws them."""

    @abstractmethod
    def examine(self, dataset: Dataset, results: Sequence[Any]) -> Examination:
        """Look at the results of all images.

        Args:
            dataset: a test set that :meth:`ssod.core.Task.prepare_test_data` has prepared.
            results: of each image, in order, what the model returned, or what the task's ``keep`` made of it.

        Raises:
            InputError: the set holds no labels that can be read.
        """

    def label_quality(self, dataset: Dataset, results: Sequence[Any], threshold: float) -> LabelQuality | None:
        """The results as pseudo labels above a score, against the labels; None: they have no scores."""
        return None

    @abstractmethod
    def draw(self, dataset: Dataset, place: int, result: Any, threshold: float) -> np.ndarray:
        """Truth and finding of an image, side by side: BGR uint8 (H, W, 3).

        Args:
            place: of the image in the set.
            result: what the model returned for it.
            threshold: lowest score drawn.
        """


def rounded(values: np.ndarray) -> list[float | None]:
    """Four digits; None for nan, which JSON lacks."""
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
