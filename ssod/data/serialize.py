"""Annotations as bytes in one array: forked loader workers share it, spawned ones are sent it at its size."""

import gc
import pickle
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmdet.datasets import CustomDataset
from mmdet.datasets.pipelines import Compose, LoadAnnotations
from torch.utils.data import Dataset

from .views import MultiBranch


class PackedList(Sequence):
    """A read-only list that holds its items pickled, one after another; reading gives a copy of one's own.

    Python counts the references to an object in the object. A forked worker that reads a list of dictionaries
    therefore writes to it, and comes to own a copy of all of its pages. Here it reads bytes.

    Args:
        items: anything that can be pickled; taken one by one, so a generator needs no room for all.

    Raises:
        IndexError: on reading beyond the end, as with a list.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        data, ends = bytearray(), [0]
        for item in items:
            data += pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
            ends.append(len(data))
        self._data = np.frombuffer(data, np.uint8)
        self._ends = np.array(ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int | slice) -> Any:
        place = range(len(self))[index]
        if isinstance(place, range):
            return [self[i] for i in place]
        return pickle.loads(self._data[self._ends[place] : self._ends[place + 1]])


def pack_annotations(dataset: Dataset) -> None:
    """Pack what a training set, or each one that it is made of, holds of its images. In place.

    ``data_infos[i]``, ``get_ann_info(i)`` and ``get_cat_ids(i)`` give what they gave, with one exception: where no
    ``LoadAnnotations`` of the pipeline has ``with_mask=True``, ``get_ann_info(i)`` has no key ``masks``. (Polygons are
    most of a COCO file. The key is left out, not emptied, so that an op which reads it says so.) The COCO API object,
    ``coco``, is gone, and with it the memory: do all that needs it before, and evaluate on other data sets.

    Args:
        dataset: built, filtered and checked. What is neither MMDetection's ``CustomDataset`` nor made of some by
            ``datasets`` or ``dataset`` (``SemiDataset``, ``ConcatDataset``, ``RepeatDataset``...), stays as it is, and
            so does one that prepares its samples in its own way, for which it may need ``coco``.
    """
    for part in [*getattr(dataset, 'datasets', []), getattr(dataset, 'dataset', None)]:
        if part is not None:
            pack_annotations(part)
    if not isinstance(dataset, CustomDataset) or type(dataset).prepare_train_img is not CustomDataset.prepare_train_img:
        return
    if hasattr(dataset, 'coco'):
        indices = range(len(dataset))
        annotations = PackedList(training_annotations(dataset))
        dataset.get_cat_ids = PackedList(dataset.get_cat_ids(i) for i in indices).__getitem__
        dataset.get_ann_info = annotations.__getitem__
        del dataset.coco
    dataset.data_infos = PackedList(dataset.data_infos)


def training_annotations(dataset: CustomDataset) -> Iterator[dict[str, Any]]:
    """``get_ann_info`` of each image, without the masks if the pipeline loads none."""
    with_masks = loads_masks(dataset.pipeline)
    for i in range(len(dataset)):
        annotation = dataset.get_ann_info(i)
        yield annotation if with_masks else {key: value for key, value in annotation.items() if key != 'masks'}


def loads_masks(op: Any) -> bool:
    """Whether a pipeline op, or one inside it, loads masks."""
    if isinstance(op, LoadAnnotations):
        return op.with_mask
    inner = op.transforms if isinstance(op, Compose) else op.pipelines.values() if isinstance(op, MultiBranch) else ()
    return any(map(loads_masks, inner))


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """For building millions of objects that stay: each collection would walk through all of them again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
