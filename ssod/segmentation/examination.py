"""A closer look at label maps: IoU of each class, what is taken for what, the images."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from mmseg.datasets import CustomDataset
from torch import Tensor

from ssod.core.examination import Examination, Examiner, rounded

from .pictures import colored, colors_of


class MapExaminer(Examiner):
    """Label maps. A pixel has a class and no score, so there are no curves over thresholds."""

    def examine(self, dataset: CustomDataset, results: Sequence[Any]) -> Examination:
        """See :class:`Examiner`; ``results`` are label maps, or what :func:`counts_of` made of them."""
        counts = [counts_of(dataset, i, one) if isinstance(one, np.ndarray) else one for i, one in enumerate(results)]
        tables = [table_of(one).numpy()[:-1] for one in counts]  # pixels of numbers without a class aside
        total = np.sum(tables, axis=0)
        return Examination(
            label='IoU',
            classes=list(dataset.CLASSES),
            class_scores=rounded(ious_of(total)),
            class_counts=total.sum(axis=1).tolist(),
            confusion=total.tolist(),
            image_score='mIoU of the image',
            images=[info['filename'] for info in dataset.img_infos],
            image_scores=rounded(np.array([mean_iou(table) for table in tables])),
        )

    def draw(self, dataset: CustomDataset, place: int, result: np.ndarray, threshold: float) -> np.ndarray:
        """The image, the true map over it, and the model's over it."""
        info = dataset.img_infos[place]
        image = mmcv.imread(osp.join(dataset.img_dir or '', info['filename']))
        colors = colors_of(dataset.PALETTE, dataset.CLASSES)
        maps = [truth_of(dataset, place), np.asarray(result)]
        painted = [colored(one.astype(np.uint8), colors)[..., ::-1] for one in maps]
        over = [(0.45 * image + 0.55 * one).round().astype(np.uint8) for one in painted]
        return np.concatenate([image, *over], axis=1)


def truth_of(dataset: CustomDataset, place: int) -> np.ndarray:
    """(H, W) int64 true map of an image, numbered as the model's; ignored pixels have ``ignore_index``."""
    true = dataset.get_gt_seg_map_by_idx(place).astype(np.int64)
    if dataset.reduce_zero_label:  # 255 stays 255, as MMSegmentation's intersect_and_union has it
        true = np.where((true == 0) | (true == 255), 255, true - 1)
    return true


def counts_of(dataset: CustomDataset, place: int, labels: np.ndarray) -> tuple[Tensor, ...]:
    """An image's pixels by class: what all metrics are made of, where a label map is large.

    Returns:
        As MMSegmentation's ``pre_eval`` the intersection, the union, the found and the true pixels of each class, (C,)
        each; and the sparse (C + 1, C) table of true by found, whose last row is numbers without a class.
    """
    size, true = len(dataset.CLASSES), truth_of(dataset, place)
    counted = true != dataset.ignore_index
    rows = np.where((true >= 0) & (true < size), true, size)[counted]
    pairs = rows * size + np.asarray(labels).astype(np.int64)[counted]
    table = torch.from_numpy(np.bincount(pairs, minlength=(size + 1) * size).reshape(size + 1, size))
    right, found, own = table.diagonal().float(), table.sum(dim=0).float(), table[:-1].sum(dim=1).float()
    return right, found + own - right, found, own, table.to_sparse()


def table_of(counts: tuple[Tensor, ...]) -> Tensor:
    """The (C + 1, C) table of :func:`counts_of`."""
    return counts[4].to_dense()


def ious_of(table: np.ndarray) -> np.ndarray:
    """(C,) IoU; nan for a class that no pixel has, neither labeled nor found."""
    right = np.diag(table)
    with np.errstate(invalid='ignore', divide='ignore'):
        return right / (table.sum(axis=0) + table.sum(axis=1) - right)


def mean_iou(table: np.ndarray) -> float:
    """Mean over the classes that are there; nan without any."""
    known = ious_of(table)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else np.nan


MAPS = MapExaminer()
