"""Detection, as ``ssod.apis`` sees it."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv import Config
from mmdet.datasets import build_dataset
from mmdet.models import DETECTORS, build_detector
from torch import nn
from torch.utils.data import Dataset

from ssod.accel import accelerate
from ssod.core.finding import Finding
from ssod.core.panels import Panel
from ssod.core.task import TASKS, Task

from . import browsing, categories, checks, evaluation, pictures, tiles
from .data.folders import Report, new_dataset
from .data.folders.importing import import_labels
from .examination import BOXES, MASKS, BoxExaminer
from .exporting import BoxExporter
from .finding import find
from .measures import BoxMeasures, MaskMeasures
from .trial import trial


class Detection(Task):
    """MMDetection's detectors and data sets, and this package's methods over them."""

    name = 'detection'
    models = DETECTORS
    measures = BoxMeasures()
    mask_measures = MaskMeasures()
    exporter = BoxExporter()

    def build_model(self, cfg: dict) -> nn.Module:
        """MMDetection's ``build_detector``."""
        return build_detector(cfg)

    def build_dataset(self, cfg: dict, test_mode: bool = False) -> Dataset:
        """MMDetection's ``build_dataset``."""
        return build_dataset(cfg, dict(test_mode=True) if test_mode else None)

    def set_num_classes(self, model: dict, num_classes: int) -> None:
        """See :func:`ssod.detection.checks.set_num_classes`."""
        checks.set_num_classes(model, num_classes)

    def num_classes(self, model: nn.Module) -> int | None:
        """See :func:`ssod.detection.checks.num_classes_of`."""
        return checks.num_classes_of(model)

    def check_config(self, cfg: Config, splits: Sequence[str]) -> None:
        """Refuse a metric that the data set does not know, heads without targets, batches that a method cannot take."""
        evaluation.check_backend(cfg.get('evaluation') or {})
        if 'val' in splits and 'evaluation' in cfg:
            checks.check_metrics(cfg.data.val, cfg.evaluation.get('metric', 'bbox'), cfg.model)
        if 'train' in splits:
            checks.check_targets(cfg.data.train, cfg.model)
            checks.check_sources(cfg)
            checks.check_geometry(cfg)

    def measures_of(self, cfg: Config) -> BoxMeasures:
        """Masks' if the first metric of ``evaluation``, which tells the best checkpoint, is theirs; else boxes'."""
        metric = cfg.evaluation.get('metric', 'bbox')
        first = metric if isinstance(metric, str) else next(iter(metric), 'bbox')
        return self.mask_measures if first == 'segm' else self.measures

    def examiner_of(self, cfg: Config) -> BoxExaminer:
        """Of masks where the first metric of ``evaluation`` is theirs."""
        return MASKS if self.measures_of(cfg) is self.mask_measures else BOXES

    def check_metrics(self, dataset: dict, metrics: Sequence[str], model: dict) -> None:
        """See :func:`ssod.detection.checks.check_metrics`."""
        checks.check_metrics(dataset, metrics, model)

    def check_training_data(self, dataset: Dataset) -> None:
        """See :func:`ssod.detection.checks.check_boxes`."""
        checks.check_boxes(dataset)

    def prepare_test_data(self, dataset: Dataset, classes: Sequence[str] | None) -> None:
        """See :func:`ssod.detection.categories.number_as_model`."""
        categories.number_as_model(dataset, classes)

    def evaluate(
        self, dataset: Dataset, results: list, backend: str = 'faster_coco_eval', **options: Any
    ) -> dict[str, Any]:
        """See :func:`ssod.detection.evaluation.evaluate`."""
        return evaluation.evaluate(dataset, results, backend, **options)

    def outputs(self, model: nn.Module, batch: dict) -> Sequence[Any]:
        """MMDetection's results."""
        with torch.no_grad():
            return model(return_loss=False, rescale=True, **batch)

    join = staticmethod(tiles.join)
    draw = staticmethod(pictures.draw)

    def find(self, model: nn.Module, sample: dict, thresholds: dict[str, float]) -> Finding:
        """See :func:`ssod.detection.finding.find`."""
        return find(model, sample, thresholds)

    def view_panels(self, batch: dict, steps: Sequence, classes: Sequence[str], palette: Any) -> list[Panel]:
        """See :func:`ssod.detection.browsing.view_panels`."""
        return browsing.view_panels(batch, steps, classes, palette)

    def teacher_panels(self, model: nn.Module, batch: dict, palette: Any) -> list[Panel]:
        """See :func:`ssod.detection.browsing.teacher_panels`."""
        return browsing.teacher_panels(model, batch, palette)

    def classes_of(self, dataset: Dataset, index: int) -> set[str]:
        """See :func:`ssod.detection.browsing.classes_of`."""
        return browsing.classes_of(dataset, index)

    def import_labels(self, *args: Any, **kwargs: Any) -> None:
        """See :func:`ssod.detection.data.folders.importing.import_labels`."""
        import_labels(*args, **kwargs)

    def new_dataset(self, *args: Any, **kwargs: Any) -> Report:
        """See :func:`ssod.detection.data.folders.new_dataset`."""
        return new_dataset(*args, **kwargs)

    def accelerate(self, model: nn.Module, on: bool = True) -> None:
        """See :func:`ssod.accel.accelerate`."""
        accelerate(model, on)

    def trial(self) -> tuple[nn.Module, dict[str, dict]]:
        """See :func:`ssod.detection.trial.trial`."""
        return trial()


TASKS['detection'] = Detection()
