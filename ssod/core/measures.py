"""What a comparison of trainings has to know about a task: its metric, and how good pseudo labels are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config, ConfigDict
from torch import nn
from torch.utils.data import Dataset

# How often each of n images counts, (n,) integers -> the metric of each of C classes, (C,) in [0, 1], nan for a class
# without a label in those images. The mean over the classes that are not nan is the task's metric.
ClassScores = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LabelQuality:
    """Pseudo labels with a score above a threshold, measured on labeled images.

    Attributes:
        threshold: the score.
        per_image: mean number of pseudo labels per image, or share of its pixels.
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
        count: the logged number of pseudo labels per image; times ``count_scale`` in the unit of
            :meth:`labels_per_image`.
        per_image, pseudo_per_image: what :meth:`labels_per_image` and ``count`` are, for people.
        supervised: the registered model of the baseline, a :class:`ssod.core.SupervisedModel`.
        self_training: the registered model that learns from labels on disk, a :class:`ssod.core.SelfTrainingModel`.
        labels_name: of the file or folder that :func:`ssod.apis.label_images` writes for label-once.
        labels_key: the setting of the data set of :meth:`with_labels` that names it.
        labeled_by: whose config names the images to label, 'method' or 'baseline'.
        labeling_options: of `ssod pseudo-label`, so that images are labeled as a test predicts.
        files: the settings of a data set that say which images and labels it has.
    """

    metric: str
    label: str
    unit: str
    count: str
    count_scale: float = 1.0
    per_image: str = 'labels per image'
    pseudo_per_image: str = 'pseudo labels per image'
    supervised: str
    self_training: str
    labels_name: str
    labels_key: str
    labeled_by: str = 'method'
    labeling_options: tuple[str, ...] = ()
    files: tuple[str, ...]

    def check(self, cfg: Config) -> None:  # noqa: B027  most compare any
        """Raise an ``InputError`` for a method that cannot be compared."""

    def amount(self, value: float) -> str:
        """A number of labels per image in words."""
        return f'{value:.1f} {self.unit} per image'

    def prepare(self, model: nn.Module) -> None:  # noqa: B027  most give enough
        """Let a built model return what :meth:`kept` needs."""

    def kept(self, dataset: Dataset, place: int, result: Any, thresholds: Sequence[float]) -> Any:
        """What is kept of the model's result on the image at a place of a set; :func:`torch.save` writes it.

        Args:
            thresholds: of the scores that :meth:`label_quality` will be asked about, rising.
        """
        return result

    @abstractmethod
    def with_labels(self, cfg: Config, labels: Path, threshold: float) -> ConfigDict:
        """The unlabeled images of a method's config as a training set that reads labels from disk.

        Args:
            labels: where they are.
            threshold: score above which one is learned from.

        Raises:
            InputError: the config does not say how.
        """

    @abstractmethod
    def class_scores(self, dataset: Dataset, results: list) -> ClassScores:
        """The metric of each class as a function of how often each image counts.

        Args:
            dataset: a test set that :meth:`ssod.core.Task.prepare_test_data` has prepared.
            results: of each image, in order, what :meth:`kept` made of it.
        """

    @abstractmethod
    def label_quality(self, dataset: Dataset, results: list, thresholds: Sequence[float]) -> list[LabelQuality]:
        """The results as pseudo labels above each threshold, against the labels of the set."""

    @abstractmethod
    def labels_per_image(self, dataset: Dataset) -> float:
        """Mean number of labels per image, or share of its pixels that are labeled."""

    @abstractmethod
    def threshold(self, cfg: Config) -> float:
        """The score above which the config's method takes a pseudo label."""

    @abstractmethod
    def is_labeled(self, labels: Path) -> bool:
        """Whether all images have been labeled."""

    @abstractmethod
    def count_labels(self, labels: Path, threshold: float) -> int:
        """Pseudo labels above a score in what :func:`ssod.apis.label_images` wrote."""
