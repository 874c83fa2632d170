"""A test file that lists its categories in another order than the model's classes: labels mean what the model says.

MMDetection numbers the labels of a COCO file as the file lists its categories, whatever the order of ``classes``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmdet.datasets import CocoDataset
from mmdet.utils import get_root_logger
from torch.utils.data import Dataset

from ssod.core.errors import InputError


def number_as_model(dataset: Dataset, classes: Sequence[str] | None) -> None:
    """Let label i of a built test set be class i of the model, whatever the order of the categories in its file.

    Args:
        dataset: a ``CocoDataset`` is renumbered, with a line in the log if that changes something; of another data
            set the classes must be the model's.
        classes: the model's; None leaves the data set's.

    Raises:
        InputError: the file lacks a class, or another data set has other classes or another order.
    """
    classes = list(classes or getattr(dataset, 'CLASSES', None) or [])
    for part in getattr(dataset, 'datasets', [dataset]):  # of a ConcatDataset
        if isinstance(part, CocoDataset):
            reorder_categories(part, classes)
        elif getattr(part, 'CLASSES', None) and list(part.CLASSES) != classes:
            where = getattr(part, 'ann_file', type(part).__name__)
            raise InputError(f'{where} has the classes {list(part.CLASSES)}, the model {classes}: mend `classes`')


def reorder_categories(dataset: CocoDataset, classes: Sequence[str]) -> None:
    """Number a COCO file's categories as ``classes`` orders them; those that are no class stay in their places.

    Raises:
        InputError: the file has no category of one of the names.
    """
    listed = dataset.coco.dataset.get('categories', [])
    known = {category['name']: category for category in listed}
    if missing := [name for name in classes if name not in known]:
        names = [category['name'] for category in listed]
        raise InputError(f'{dataset.ann_file} has no class {missing}; its categories are {names}: mend `classes`')
    ids = [known[name]['id'] for name in classes]
    if ids != dataset.cat_ids:
        get_root_logger().info(f'{dataset.ann_file} orders its categories otherwise: numbered as the model does')
    ordered = iter([known[name] for name in classes])
    # CocoDataset.evaluate asks the file again.
    dataset.coco.dataset['categories'] = [next(ordered, c) if c['name'] in classes else c for c in listed]
    dataset.CLASSES = tuple(classes)
    dataset.cat_ids = ids
    dataset.cat2label = {category: label for label, category in enumerate(ids)}


def evaluate(dataset: Dataset, results: list, **options: Any) -> dict[str, Any]:
    """``dataset.evaluate`` on the results of all images.

    pycocotools sorts the classes by category id, and MMDetection names its results per class in the order of
    ``cat_ids``. A set whose ids do not rise with its labels is therefore evaluated in the order of the ids.
    """
    order = np.argsort(getattr(dataset, 'cat_ids', []), kind='stable').tolist()
    if not isinstance(dataset, CocoDataset) or order == sorted(order):
        return dataset.evaluate(results, **options)
    with in_order_of_ids(dataset):
        return dataset.evaluate([permuted(result, order) for result in results], **options)


@contextmanager
def in_order_of_ids(dataset: CocoDataset) -> Iterator[None]:
    """For a while the categories, and so ``cat_ids`` and ``CLASSES``, rise with their ids."""
    before = dataset.coco.dataset['categories'], dataset.cat_ids, dataset.CLASSES
    names = dict(zip(dataset.cat_ids, dataset.CLASSES, strict=True))
    dataset.coco.dataset['categories'] = sorted(before[0], key=lambda category: category['id'])
    dataset.cat_ids = sorted(dataset.cat_ids)
    dataset.CLASSES = tuple(names[category] for category in dataset.cat_ids)
    try:
        yield
    finally:
        dataset.coco.dataset['categories'], dataset.cat_ids, dataset.CLASSES = before


def permuted(result: Any, order: Sequence[int]) -> Any:
    """A result, one entry per class, in another order of the classes.

    Args:
        result: a list of (n, 5) boxes per class; a tuple of it and the masks per class, or of masks and their scores;
            an array of proposals has no classes and stays.
    """
    if isinstance(result, tuple):
        return tuple(permuted(part, order) for part in result)
    return [result[label] for label in order] if isinstance(result, list) else result
