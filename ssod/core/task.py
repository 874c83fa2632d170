"""What training, testing and inference have to know about a task, such as detection; and which task a config is of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config
from mmcv.utils import Registry
from mmdet.datasets.pipelines import Compose
from torch import Tensor, nn
from torch.utils.data import Dataset

from .examination import Examiner
from .exporting import Exporter
from .finding import Finding
from .measures import Measures
from .panels import Panel
from .prediction import Prediction
from .tiles import Window


class Task(ABC):
    """One task: the registries that its models and data sets come from, and what can be wrong with its input.

    ``ssod.apis`` is written against this class and imports no task. A task makes itself known by an instance in
    ``TASKS``, as ``ssod.detection`` does.

    Attributes:
        name: 'detection', say.
        models: the registry of its detectors or segmentors.
        measures: what a comparison of trainings asks for; None if the task has no such. See :meth:`measures_of`.
        keep: of a test set, an image's place in it and a model's result on it, what :meth:`evaluate` needs, where all
            of it would fill the memory; None: the result.
        optional: it needs packages that an installation may lack.
        label_images: writes a model's labels for a config's unlabeled images, with the task's own options; None: they
            are boxes, in a COCO file.
        one_size: its models take several images in a batch only if they are of one size.
        exporter: how its models leave PyTorch.
    """

    name: str
    models: Registry
    measures: Measures | None = None
    keep: Callable[[Dataset, int, Any], Any] | None = None
    optional: bool = False
    label_images: Callable[..., str | None] | None = None
    one_size: bool = False
    exporter: Exporter

    @abstractmethod
    def build_model(self, cfg: dict) -> nn.Module:
        """The model from ``cfg.model``."""

    @abstractmethod
    def build_dataset(self, cfg: dict, test_mode: bool = False) -> Dataset:
        """A data set from its config."""

    @abstractmethod
    def set_num_classes(self, model: dict, num_classes: int) -> None:
        """Set the number of classes in the config of a model, in place, wherever a head asks for it."""

    @abstractmethod
    def num_classes(self, model: nn.Module) -> int | None:
        """Classes that the model tells apart, None where there is no single number."""

    @abstractmethod
    def check_config(self, cfg: Config, splits: Sequence[str]) -> None:
        """Raise an ``InputError`` for what the task can see wrong in a config without reading data."""

    @abstractmethod
    def check_training_data(self, dataset: Dataset) -> None:
        """Raise an ``InputError`` for training data that would train nothing, or the wrong thing."""

    @abstractmethod
    def prepare_test_data(self, dataset: Dataset, classes: Sequence[str] | None) -> None:
        """Make a test set number its labels as ``classes``, those of the model, do; an ``InputError`` if it cannot."""

    def measures_of(self, cfg: Config) -> Measures | None:
        """The measures of a config; a task with several kinds of labels may have more than one."""
        return self.measures

    def examiner_of(self, cfg: Config) -> Examiner | None:
        """Who looks at a config's results class by class and image by image; None: the task has no such."""
        return None

    def check_metrics(self, dataset: dict, metrics: Sequence[str], model: dict) -> None:  # noqa: B027  may know none
        """Raise an ``InputError`` for a metric that a data set does not know or a model has no results for; configs."""

    def evaluate(self, dataset: Dataset, results: list, **options: Any) -> dict[str, Any]:
        """Metrics of the model's results on all images of a set that :meth:`prepare_test_data` has prepared.

        Args:
            dataset: the built test set.
            results: of each image, in order, what the model returned.
            options: of the data set's own ``evaluate``, ``metric`` and ``logger`` say.
        """
        return dataset.evaluate(results, **options)

    def compose(self, pipeline: Sequence[dict]) -> Callable[[dict], Any]:
        """The ops of a pipeline, one after another: MMDetection's ``Compose``, unless the task has another registry."""
        return Compose(pipeline)

    def checkpoint_meta(self, dataset: Dataset) -> dict[str, Any]:
        """What checkpoints say of the training set."""
        return dict(CLASSES=dataset.CLASSES)

    def publishable(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of a student's or teacher's weights those of the plain model, under its names; all by default."""
        return weights

    @abstractmethod
    def outputs(self, model: nn.Module, batch: dict) -> Sequence[Any]:
        """What a model of ``ssod.apis.init_detector`` gives for each image of a batch, for :meth:`join`.

        Args:
            model: in eval mode.
            batch: of :func:`ssod.data.loader.test_batch`.
        """

    @abstractmethod
    def join(
        self,
        model: nn.Module,
        outputs: Iterable[Any],
        windows: Sequence[Window],
        size: tuple[int, int],
        score_thr: float,
    ) -> Prediction:
        """What there is on an image, from what the model gives for its tiles.

        Args:
            model: its classes and settings.
            outputs: of :meth:`outputs`, for each tile; they may be made while they are taken.
            windows: of the tiles; one alone is the image.
            size: (height, width) of the image.
            score_thr: lowest score of a box.
        """

    @abstractmethod
    def draw(self, model: nn.Module, image: np.ndarray, found: Prediction) -> np.ndarray:
        """A picture of the prediction on its image, both (H, W, 3) uint8 BGR."""

    def write_beside(self, model: nn.Module, found: Prediction, stem: Path) -> dict[str, Any]:
        """Write what a picture and records do not hold, as files that begin with ``stem``, and name them."""
        return {}

    @abstractmethod
    def find(self, model: nn.Module, sample: dict, thresholds: dict[str, float]) -> Finding:
        """What a model of ``ssod.apis.init_detector`` finds on an image of ``read_image``, and how far it doubts it."""

    @abstractmethod
    def view_panels(self, batch: dict, steps: Sequence, classes: Sequence[str], palette: Any) -> list[Panel]:
        """Pictures of the views of one image, normalized, and of what each op has left; see ``ssod.apis.browse``."""

    @abstractmethod
    def teacher_panels(self, model: nn.Module, batch: dict, palette: Any) -> list[Panel]:
        """Pictures of what a method's teacher makes of the unlabeled image of a batch."""

    @abstractmethod
    def classes_of(self, dataset: Dataset, index: int) -> set[str]:
        """Names of the classes on a labeled image."""

    @abstractmethod
    def import_labels(self, *args: Any, **kwargs: Any) -> None:
        """Put corrected labels into a data set of :meth:`new_dataset`; see :func:`ssod.apis.labels.import_labels`."""

    @abstractmethod
    def new_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """Make a data set of raw folders; see :func:`ssod.apis.new_dataset`."""

    @abstractmethod
    def accelerate(self, model: nn.Module, on: bool = True) -> None:
        """Swap faster parts of equal results into the model, or out of it."""

    @abstractmethod
    def trial(self) -> tuple[nn.Module, dict[str, dict]]:
        """A tiny model with a teacher, and a training batch for it, both on the CPU: whether an installation works."""


TASKS: dict[str, Task] = {}


def inner_model(model: dict) -> dict | None:
    """The config of the detector or segmentor in a ``TeacherStudent``'s; None: it is a single one itself."""
    return model.get('detector') or model.get('segmentor')


def task_of(cfg: Any) -> Task:
    """The task whose models know ``cfg.model.type``.

    Raises:
        ValueError: no task does.
    """
    kind = cfg.model.get('type')
    for task in TASKS.values():
        if task.models.get(kind) is not None:
            return task
    raise ValueError(f'model.type {kind!r} is not registered: check its spelling, or custom_imports of the config')
