"""Evaluate a trained detector on a data set."""

from collections.abc import Callable, Sequence
from typing import Any

from mmcv import Config
from mmcv.runner import get_dist_info
from torch import nn
from torch.utils.data import Dataset

from ssod.core.errors import building
from ssod.core.task import task_of
from ssod.data import build_test_loader
from ssod.data.loader import test_dataset_config
from ssod.data.reading import guard_reading
from ssod.hooks import autocast_for_test
from ssod.hooks.evaluation import dataset_options, models_to_test, predicting_on, run_test

from .checks import check_checkpoint_classes, check_config
from .data_checks import TEST_HEADERS, building_data, check_source
from .train import parallelize
from .weights import read_checkpoint


def test_detector(
    cfg: Config,
    checkpoint: str,
    metrics: Sequence[str],
    eval_on: str | None = None,
    distributed: bool = False,
    keep_all: bool = True,
    keep: Callable[[Dataset, int, Any], Any] | None = None,
    prepare: Callable[[nn.Module], None] | None = None,
) -> tuple[dict[str, Any], dict[str, list]]:
    """Evaluate the config's detector with a checkpoint's weights on ``cfg.data.test``.

    Args:
        metrics: of the data set's ``evaluate``, ['bbox'] say; none to collect detections only.
        eval_on: 'student', 'teacher' or 'both'; None is the config's ``predict_on``.
        keep_all: False: of the detections keep what the metrics need, which for label maps is much less.
        keep: what to keep of an image's result instead; see :func:`ssod.hooks.evaluation.run_test`. Without metrics.
        prepare: called with the model before it detects.

    Returns:
        Metrics, behind ``student_`` or ``teacher_`` for a semi-supervised detector, and the detections of each model
        by its name ('' for a plain detector); both empty on ranks other than 0.

    Raises:
        InputError: files missing, a checkpoint that does not fit the model or holds other classes, or a test file that
            lacks one of them. A file that orders them otherwise is renumbered.
    """
    check_config(cfg, ('test',))
    with building_data('data.test', [cfg.data.test]):
        task = task_of(cfg)
        task.check_metrics(cfg.data.test, metrics, cfg.model)
        dataset = task.build_dataset(test_dataset_config(cfg.data.test, cfg.data), test_mode=True)
        loader = build_test_loader(dataset, cfg.data, distributed)
    check_source(dataset, TEST_HEADERS)
    guard_reading(dataset, cfg.data.get('max_image_pixels'))
    with building('model'):
        model = task.build_model(cfg.model)
    task.accelerate(model, cfg.get('accelerate', True))  # as in training, for the same figures
    classes = read_checkpoint(model, checkpoint, task.num_classes(model)).get('meta', {}).get('CLASSES')
    check_checkpoint_classes(task.num_classes(model), classes or loader.dataset.CLASSES, checkpoint)
    model.CLASSES = classes or loader.dataset.CLASSES
    task.prepare_test_data(dataset, model.CLASSES)
    if prepare is not None:
        prepare(model)
    names = models_to_test(model, eval_on or getattr(model, 'predict_on', None) or 'student')
    model = parallelize(model, distributed)
    with building('fp16'):
        autocast_for_test(model, cfg.get('fp16'))
    options = {key: value for key, value in dataset_options(cfg.get('evaluation', {})).items() if key != 'metric'}
    values: dict[str, Any] = {}
    detections: dict[str, list] = {}
    keep = keep or (None if keep_all else task.keep)
    for name in names:
        with predicting_on(model, name):
            results = run_test(model, loader, keep)
        if get_dist_info()[0] != 0:
            continue
        prefix = '' if name is None else f'{name}_'
        detections[name or ''] = results
        if metrics:
            print(f'\n{prefix.rstrip("_") or type(model.module).__name__}:')
            scores = task.evaluate(dataset, results, metric=list(metrics), **options)
            values.update({prefix + key: value for key, value in scores.items()})
    return values, detections
