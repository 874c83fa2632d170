"""Evaluation of COCO data sets: MMDetection's own, by faster-coco-eval's matching, and the AP of each class."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
from faster_coco_eval import COCOeval_faster
from mmdet.datasets import CocoDataset, coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.utils.data import Dataset

from ssod.core.errors import InputError

from . import categories

TABLE = 20  # classes; more would flood the text log


class FasterCOCOeval(COCOeval_faster):
    """faster-coco-eval's matching in C++, and pycocotools' summary of it.

    Their summaries differ: the mAP of pycocotools counts the best 100 detections per image, whatever ``maxDets`` is.
    """

    def summarize(self) -> None:
        """Set ``stats``, twelve figures, and print them."""
        COCOeval.summarize(self)


BACKENDS: dict[str, Callable[..., Any]] = {'faster_coco_eval': FasterCOCOeval, 'pycocotools': COCOeval}


def check_backend(evaluation: dict) -> None:
    """Refuse an ``evaluation.backend`` that is none.

    Raises:
        InputError: it is another name than those of ``BACKENDS``.
    """
    backend = evaluation.get('backend', 'faster_coco_eval')
    if backend not in BACKENDS:
        raise InputError(f'evaluation.backend is one of {", ".join(BACKENDS)}, got {backend!r}')


def evaluate(dataset: Dataset, results: list, backend: str = 'faster_coco_eval', **options: Any) -> dict[str, Any]:
    """``dataset.evaluate`` on the results of all images, and the AP of each class.

    Args:
        dataset: one that :func:`ssod.detection.categories.number_as_model` has prepared.
        backend: who matches, a name in ``BACKENDS``; the figures are equal. Only COCO's format asks it, and a file
            whose ids are not numbers is always pycocotools'.
        options: the data set's own. ``classwise`` True: MMDetection's table of the classes in the text log, too; False:
            no AP of the classes at all; by default the table of up to ``TABLE`` classes.

    Returns:
        The data set's metrics, and of COCO's format ``bbox_AP.CLASS`` for each class, ``segm_AP.CLASS`` of masks: over
        IoU 0.5 to 0.95, in [0, 1]; -1 for a class without a true box. Signs that loggers do not take are ``_``.
    """
    wanted = options.pop('classwise', None)
    if wanted or (wanted is None and has_table(dataset) and len(dataset.CLASSES) <= TABLE):
        options['classwise'] = True
    with evaluating_by(backend) as made:
        values = categories.evaluate(dataset, results, **options)
    for evaluation in made if wanted is not False else ():
        values.update(class_scores(dataset, evaluation))
    return values


@contextmanager
def evaluating_by(backend: str) -> Iterator[list[COCOeval]]:
    """Let MMDetection's COCO data sets evaluate by a backend for a while.

    Yields:
        The evaluations that they make meanwhile, one for each metric, in order.
    """
    made: list[COCOeval] = []

    def make(truth: COCO, *args: Any) -> COCOeval:
        kind = BACKENDS[backend] if has_small_numbers(truth) else COCOeval
        made.append(kind(truth, *args))
        return made[-1]

    before, coco.COCOeval = coco.COCOeval, make
    try:
        yield made
    finally:
        coco.COCOeval = before


def has_table(dataset: Dataset) -> bool:
    """Whether a data set is of COCO's format, and logs a table of its classes if it is asked to."""
    return isinstance(dataset, CocoDataset) and 'classwise' in inspect.signature(dataset.evaluate).parameters


def has_small_numbers(truth: COCO) -> bool:
    """Whether all ids are whole numbers that a double holds: faster-coco-eval keeps them so."""
    return all(isinstance(i, int) and 0 <= i < 2**53 for i in chain(truth.imgs, truth.cats, truth.anns))


def class_scores(dataset: Dataset, evaluation: COCOeval) -> dict[str, float]:
    """The AP of each class of an evaluation by its key, with four digits; of class-agnostic proposals nothing."""
    params, precision = evaluation.params, evaluation.eval['precision']
    if not params.useCats:
        return {}
    parts = getattr(dataset, 'datasets', [])  # of a ConcatDataset, which numbers the metrics of each
    number = next((f'{i}_' for i, part in enumerate(parts) if part.coco is evaluation.cocoGt), '')
    scores: dict[str, float] = {}
    for place, category in enumerate(evaluation.cocoGt.loadCats(params.catIds)):
        key = f'{number}{params.iouType}_AP.' + re.sub(r'[^-\w.]', '_', category['name'])
        while key in scores:  # 'a b' and 'a_b'
            key += '_'
        own = precision[:, :, place, 0, -1]  # IoU thresholds x recalls x classes x areas x numbers of detections
        scores[key] = round(float(np.mean(own[own > -1])), 4) if (own > -1).any() else -1.0
    return scores
