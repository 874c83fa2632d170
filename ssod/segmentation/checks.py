"""What can be wrong with the input of a segmentor's training or test, said before it starts."""

from collections.abc import Sequence

import mmcv
import numpy as np
from mmcv import Config
from mmseg.datasets import CustomDataset
from torch import nn
from torch.utils.data import Dataset

from ssod.core.errors import InputError
from ssod.core.task import inner_model
from ssod.data import SemiDataset

METRICS = ('mIoU', 'mDice', 'mFscore')
IGNORE = 255
SAMPLE = 16  # label maps that are looked into


def check_metrics(metrics: str | Sequence[str]) -> None:
    """Refuse, before there is anything to evaluate, a metric that MMSegmentation's data sets do not know."""
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if unknown := [metric for metric in metrics if metric not in METRICS]:
        raise InputError(f'no metric {unknown[0]!r}: a segmentation data set has {", ".join(METRICS)}')


def check_config(cfg: Config, splits: Sequence[str]) -> None:
    """Refuse settings that cannot work together.

    Raises:
        InputError: a metric that is not known, images of a test in batches, or crops of single images.
    """
    if 'val' in splits and 'evaluation' in cfg:
        check_metrics(cfg.evaluation.get('metric', 'mIoU'))
    if 'backend' in (cfg.get('evaluation') or {}):
        raise InputError('evaluation.backend is for boxes and masks, and label maps have none: leave it out')
    if cfg.data.get('test_samples_per_gpu', 1) != 1:
        raise InputError('data.test_samples_per_gpu: MMSegmentation tests image by image, set 1')


def parts_of(dataset: Dataset) -> list[Dataset]:
    """A data set, or those that it is made of."""
    inner = getattr(dataset, 'datasets', None)
    return [dataset] if inner is None else [part for each in inner for part in parts_of(each)]


def check_maps(train: Dataset) -> None:
    """Refuse training data of other classes than their label maps hold, ``SAMPLE`` maps of each set looked at.

    Args:
        train: the built training set.

    Raises:
        InputError: label maps that are of another size than their image, of several channels, or of numbers that are
            no class.
    """
    sources = train.sources.values() if isinstance(train, SemiDataset) else [train]
    for dataset in [part for source in sources for part in parts_of(source)]:
        if isinstance(dataset, CustomDataset) and dataset.ann_dir is not None:
            for index in np.unique(np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(int)):
                check_map(dataset, int(index))


def check_map(dataset: CustomDataset, index: int) -> None:
    """Refuse one label map; see :func:`check_maps`."""
    info = dataset.img_infos[index]
    name = f'{dataset.ann_dir}/{info["ann"]["seg_map"]}'
    try:
        labels = dataset.get_gt_seg_map_by_idx(index)
        image = mmcv.imread(f'{dataset.img_dir}/{info["filename"]}')
    except (OSError, AttributeError) as error:
        raise InputError(f'{dataset.img_dir}/{info["filename"]} or {name} cannot be read as an image') from error
    if labels.ndim != 2:
        raise InputError(f'{name} has {labels.shape[-1]} channels: a label map has one, a class number in each pixel')
    if labels.shape != image.shape[:2]:
        raise InputError(f'{name} is of {labels.shape} pixels (height, width), its image of {image.shape[:2]}')
    if dataset.CLASSES is None:
        raise InputError(f'the data set of {dataset.img_dir} has no classes: set `classes` at the top of the config')
    strange = sorted(set(np.unique(labels).tolist()) - {*range(len(dataset.CLASSES)), IGNORE})
    if strange:
        raise InputError(
            f'{name} holds {strange[:5]}, and the {len(dataset.CLASSES)} classes are 0 to {len(dataset.CLASSES) - 1}: '
            'set ignore_values of the data set, or its all_classes, or mend `classes`'
        )


def heads_of(model: dict) -> list[dict]:
    """Configs of the decode heads and auxiliary heads of a segmentor's config, or of the one that it wraps."""
    segmentor = inner_model(model) or model
    heads = []
    for key in ('decode_head', 'auxiliary_head'):
        found = segmentor.get(key) or []
        heads += found if isinstance(found, (list, tuple)) else [found]
    return heads


def num_classes_of(model: nn.Module) -> int | None:
    """Classes of a segmentor's decode head; None where there is no single number."""
    return getattr(getattr(model, 'student', model), 'num_classes', None)
