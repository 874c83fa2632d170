"""Segmentation, as ``ssod.apis`` sees it."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config
from mmseg.datasets.pipelines import Compose
from mmseg.models import SEGMENTORS
from torch import Tensor, nn
from torch.utils.data import Dataset

from ssod.apis.data_checks import TEST_HEADERS
from ssod.core.errors import InputError
from ssod.core.finding import Finding
from ssod.core.panels import Panel
from ssod.core.prediction import Prediction
from ssod.core.task import TASKS, Task

from . import browsing, checks, labeling, pictures, tiles
from .base import build_model
from .data import build_dataset
from .data.folders import Report, new_dataset
from .data.importing import import_labels
from .dsbn import plain_weights
from .examination import MAPS, MapExaminer, counts_of
from .exporting import MapExporter
from .finding import find
from .labeling import LabelingCfg
from .map_checks import check_maps
from .measures import MapMeasures
from .pictures import colors_of
from .trial import trial


class Segmentation(Task):
    """MMSegmentation's segmentors and data sets, and this package's methods over them."""

    name = 'segmentation'
    models = SEGMENTORS
    optional = True
    one_size = True
    measures = MapMeasures()
    exporter = MapExporter()

    def examiner_of(self, cfg: Config) -> MapExaminer:
        """See :class:`ssod.segmentation.examination.MapExaminer`."""
        return MAPS

    def build_model(self, cfg: dict) -> nn.Module:
        """MMSegmentation's ``build_segmentor``; see :func:`ssod.segmentation.base.build_model`."""
        # Said for every size of an image, and nothing that a reader of our logs can act on.
        warnings.filterwarnings('ignore', message='When align_corners=True', category=UserWarning)
        return build_model(cfg)

    def build_dataset(self, cfg: dict, test_mode: bool = False) -> Dataset:
        """See :func:`ssod.segmentation.data.build_dataset`."""
        return build_dataset(cfg, dict(test_mode=True) if test_mode else None)

    def compose(self, pipeline: Sequence[dict]) -> Callable[[dict], Any]:
        """MMSegmentation's ``Compose``."""
        return Compose(pipeline)

    def set_num_classes(self, model: dict, num_classes: int) -> None:
        """Set ``num_classes`` of every decode and auxiliary head, in place."""
        for head in checks.heads_of(model):
            head['num_classes'] = num_classes

    def num_classes(self, model: nn.Module) -> int | None:
        """See :func:`ssod.segmentation.checks.num_classes_of`."""
        return checks.num_classes_of(model)

    def check_config(self, cfg: Config, splits: Sequence[str]) -> None:
        """See :func:`ssod.segmentation.checks.check_config`."""
        checks.check_config(cfg, splits)

    def check_metrics(self, dataset: dict, metrics: Sequence[str], model: dict) -> None:
        """See :func:`ssod.segmentation.checks.check_metrics`."""
        checks.check_metrics(metrics)

    def measures_of(self, cfg: Config) -> MapMeasures:
        """By the first metric of ``evaluation``, which tells the best checkpoint."""
        metric = cfg.evaluation.get('metric', 'mIoU')
        return MapMeasures(metric if isinstance(metric, str) else metric[0])

    def check_training_data(self, dataset: Dataset) -> None:
        """See :func:`ssod.segmentation.map_checks.check_maps`."""
        check_maps(dataset)

    def prepare_test_data(self, dataset: Dataset, classes: Sequence[str] | None) -> None:
        """Refuse a test set that numbers its classes otherwise than the model does, or whose files are unusable.

        Raises:
            InputError: its classes are others, or in another order; or see
                :func:`ssod.segmentation.map_checks.check_maps`.
        """
        check_maps(dataset, TEST_HEADERS)
        if classes is not None and list(dataset.CLASSES) != list(classes):
            raise InputError(
                f'the test set has the classes {list(dataset.CLASSES)[:8]}, the model {list(classes)[:8]}: set '
                '`classes` of the config as the model was trained'
            )

    def keep(self, dataset: Dataset, place: int, result: np.ndarray) -> Any:
        """See :func:`ssod.segmentation.examination.counts_of`."""
        return counts_of(dataset, place, result)

    def evaluate(self, dataset: Dataset, results: list, **options: Any) -> dict[str, Any]:
        """The mIoU first, then the other means, then each class; of label maps, or of what :meth:`keep` made of them.

        A class that no pixel has, neither labeled nor predicted, is nan, and no part of a mean.
        """
        results = [self.keep(dataset, i, one) if isinstance(one, np.ndarray) else one for i, one in enumerate(results)]
        areas = [one[:4] for one in results]  # without the table of what is taken for what
        values = {name: float(value) for name, value in dataset.evaluate(areas, **options).items()}
        metric = options.get('metric', 'mIoU')
        first = metric if isinstance(metric, str) else metric[0]
        return {first: values.pop(first), **values}

    def label_images(
        self, cfg: Config, checkpoint: str, out: Path, score_thr: float | None, eval_on: str | None, **options: Any
    ) -> str | None:
        """See :func:`ssod.segmentation.labeling.label_images`; ``options`` are ``scales``, ``flip`` and ``sum``."""
        how = LabelingCfg(score_thr=score_thr, **options)
        return labeling.label_images(cfg, checkpoint, out, how, eval_on)

    def outputs(self, model: nn.Module, batch: dict) -> Sequence[Any]:
        """See :func:`ssod.segmentation.tiles.outputs`."""
        return tiles.outputs(model, batch)

    join = staticmethod(tiles.join)
    draw = staticmethod(pictures.draw)

    def write_beside(self, model: nn.Module, found: Prediction, stem: Path) -> dict[str, Any]:
        """See :func:`ssod.segmentation.pictures.write_beside`."""
        return pictures.write_beside(model, found, stem)

    def checkpoint_meta(self, dataset: Dataset) -> dict[str, Any]:
        """Class names, and the colors that MMSegmentation's ``init_segmentor`` asks for."""
        return dict(CLASSES=dataset.CLASSES, PALETTE=colors_of(dataset.PALETTE, dataset.CLASSES).tolist())

    def publishable(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Without the strong half of DSBN, CCT's auxiliary decoders, and the second of two networks."""
        if any(name.startswith('first.') for name in weights):
            weights = {
                name.removeprefix('first.'): value for name, value in weights.items() if name.startswith('first.')
            }
        return plain_weights({name: value for name, value in weights.items() if not name.startswith('perturbed.')})

    def find(self, model: nn.Module, sample: dict, thresholds: dict[str, float]) -> Finding:
        """See :func:`ssod.segmentation.finding.find`."""
        return find(model, sample, thresholds)

    def view_panels(self, batch: dict, steps: Sequence, classes: Sequence[str], palette: Any) -> list[Panel]:
        """See :func:`ssod.segmentation.browsing.view_panels`."""
        return browsing.view_panels(batch, steps, classes, palette)

    def teacher_panels(self, model: nn.Module, batch: dict, palette: Any) -> list[Panel]:
        """See :func:`ssod.segmentation.browsing.teacher_panels`."""
        return browsing.teacher_panels(model, batch, palette)

    def classes_of(self, dataset: Dataset, index: int) -> set[str]:
        """See :func:`ssod.segmentation.browsing.classes_of`."""
        return browsing.classes_of(dataset, index)

    def import_labels(self, *args: Any, **kwargs: Any) -> None:
        """See :func:`ssod.segmentation.data.importing.import_labels`."""
        import_labels(*args, **kwargs)

    def new_dataset(self, *args: Any, **kwargs: Any) -> Report:
        """See :func:`ssod.segmentation.data.folders.new_dataset`."""
        return new_dataset(*args, **kwargs)

    def accelerate(self, model: nn.Module, on: bool = True) -> None:
        """Nothing to swap."""

    def trial(self) -> tuple[nn.Module, dict[str, dict]]:
        """See :func:`ssod.segmentation.trial.trial`."""
        return trial()


TASKS['segmentation'] = Segmentation()
