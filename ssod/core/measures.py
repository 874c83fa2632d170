"""What a comparison of trainings has to know about a task: its metric, and how good pseudo labels are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmcv import Config
from torch.utils.data import Dataset

# How often each of n images counts, (n,) integers -> the metric of each of C classes, (C,) in [0, 1], nan for a class
# without a label in those images. The mean over the classes that are not nan is the task's metric.
ClassScores = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LabelQuality:
    """Pseudo labels with a score above a threshold, measured on labeled images.

    Attributes:
        threshold: the score.
        per_image: mean number of pseudo labels per image.
        precision: share of the pseudo labels that are right, None without any.
        recall: share of the labels that are found, None without any.
        by_class: for each class name ``{'precision': ..., 'recall': ...}``.
    """

    threshold: float
    per_image: float
    precision: float | None
    recall: float | None
    by_class: dict[str, dict[str, float | None]] = field(default_factory=dict)


class Measures(ABC):
    """A task's metric per image sample, and the quality of its pseudo labels.

    Attributes:
        metric: its name in the log, behind ``student_`` or ``teacher_``.
        label: its name in a sentence.
        unit: what is counted in an image, in the plural.
        count: the logged number of pseudo labels per image.
        supervised: the registered model of the baseline, a :class:`ssod.core.SupervisedModel`.
        self_training: the registered model that learns from labels on disk, a :class:`ssod.core.SelfTrainingModel`.
    """

    metric: str
    label: str
    unit: str
    count: str
    supervised: str
    self_training: str

    @abstractmethod
    def class_scores(self, dataset: Dataset, results: list) -> ClassScores:
        """The metric of each class as a function of how often each image counts.

        Args:
            dataset: a test set that :meth:`ssod.core.Task.prepare_test_data` has prepared.
            results: of each image, in order, what the model returned.
        """

    @abstractmethod
    def label_quality(self, dataset: Dataset, results: list, thresholds: Sequence[float]) -> list[LabelQuality]:
        """The results as pseudo labels above each threshold, against the labels of the set."""

    @abstractmethod
    def labels_per_image(self, dataset: Dataset) -> float:
        """Mean number of labels per image."""

    @abstractmethod
    def threshold(self, cfg: Config) -> float:
        """The score above which the config's method takes a pseudo label."""

    @abstractmethod
    def count_labels(self, file: Any, threshold: float) -> int:
        """Pseudo labels above a score in a file of :func:`ssod.apis.label_images`."""
