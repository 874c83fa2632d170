"""What can be wrong with the input of a detector's training or test, said before it starts."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mmcv import Config
from mmdet.datasets import PIPELINES, CocoDataset
from mmdet.datasets.pipelines import Expand, MinIoURandomCrop, RandomCrop, RandomFlip, Resize
from mmdet.models import DETECTORS
from torch import nn
from torch.utils.data import Dataset

from ssod.core.errors import InputError
from ssod.data import SemiDataset
from ssod.data.views.geometric import AffineOp

# Ops of MMDetection that change where things are; ours of resizing and flipping are among them.
HOST_GEOMETRY = (Resize, RandomFlip, RandomCrop, MinIoURandomCrop, Expand)


def check_metrics(dataset: dict, metrics: str | Sequence[str]) -> None:
    """Refuse, before there is anything to evaluate, a metric that a COCO data set does not know."""
    known = ('bbox', 'segm', 'proposal', 'proposal_fast')
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if dataset.type == 'CocoDataset' and not set(metrics) <= set(known):
        raise InputError(f'no metric {sorted(set(metrics) - set(known))[0]!r}: CocoDataset has {", ".join(known)}')


def check_sources(cfg: Config) -> None:
    """Refuse, where several processes train, batches without a source for a method whose heads exchange counts."""
    several = int(os.environ.get('WORLD_SIZE', 1)) > 1  # the processes need not have joined yet
    method = DETECTORS.get(cfg.model.type)
    if not several or not getattr(method, 'needs_both_sources', False):
        return
    if not cfg.data.get('sampler', {}).get('at_least_one', True):
        raise InputError(
            f'{cfg.model.type} needs labeled and unlabeled images in each batch of each process, for dense heads '
            'exchange counts inside their losses: set data.sampler.at_least_one=True'
        )


def check_geometry(cfg: Config) -> None:
    """Refuse ops that move pixels in one view alone, for a method whose views have the same geometry."""
    if not getattr(DETECTORS.get(cfg.model.type), 'needs_same_geometry', False):
        return
    for fork in (op for op in dicts_in(cfg.data.train.get('unlabeled', {})) if op.get('type') == 'MultiBranch'):
        moving = [op['type'] for op in dicts_in(fork) if moves_pixels(op)]
        if moving:
            raise InputError(
                f'{cfg.model.type} needs the same geometry in both views of an image, and MultiBranch holds '
                f'{moving[0]}: put it before MultiBranch in unsup_pipeline, or take it out'
            )


def dicts_in(settings: Any) -> Iterator[dict]:
    """All dictionaries in nested settings."""
    if isinstance(settings, dict):
        yield settings
        settings = list(settings.values())
    if isinstance(settings, (list, tuple)):
        for item in settings:
            yield from dicts_in(item)


def moves_pixels(op: dict) -> bool:
    """Whether an op's config is of one that changes where things are."""
    kind = PIPELINES.get(op['type']) if isinstance(op.get('type'), str) else None
    return kind is not None and issubclass(kind, (AffineOp, *HOST_GEOMETRY))


def check_boxes(train: Dataset) -> None:
    """Refuse training data without a class of the config, or without an image left.

    Args:
        train: the built training set.

    Raises:
        InputError: class names that the annotation file lacks or orders otherwise, or no image left after filtering.
    """
    sources = train.sources if isinstance(train, SemiDataset) else {'labeled': train}
    for name, source in sources.items():
        if isinstance(source, CocoDataset) and name == 'labeled':
            check_categories(source)
        if len(source) == 0:
            raise InputError(
                f'no {name} image left of {getattr(source, "ann_file", "the data set")}: '
                'images without boxes of the classes (filter_empty_gt) and those under 32 pixels are dropped'
            )


def check_categories(dataset: CocoDataset) -> None:
    """Refuse class names that a labeled COCO file lacks, or has in another order."""
    known = [category['name'] for category in dataset.coco.dataset.get('categories', [])]
    missing = [cls for cls in dataset.CLASSES if cls not in known]
    if missing:
        raise InputError(f'{dataset.ann_file} has no class {missing}; its categories are {known}: mend `classes`')
    order = [cls for cls in known if cls in dataset.CLASSES]
    if order != list(dataset.CLASSES):
        # mmdet numbers labels as the file does, whatever the order of `classes`: the names would be mixed up.
        raise InputError(f'{dataset.ann_file} has its classes in another order: set classes={order}')


def num_classes_of(model: nn.Module) -> int | None:
    """Classes of a detector's box head, or of each stage's; None where there is no single number."""
    detector = getattr(model, 'student', model)
    head = getattr(getattr(detector, 'roi_head', detector), 'bbox_head', None)
    heads = head if isinstance(head, nn.ModuleList) else [head]
    numbers = {getattr(head, 'num_classes', None) for head in heads}
    return numbers.pop() if len(numbers) == 1 else None


# Heads that tell the data's classes apart; a semantic head tells others, stuff too.
CLASS_HEADS = ('bbox_head', 'mask_head', 'mask_iou_head', 'point_head', 'segm_head', 'glbctx_head')


def set_num_classes(model: dict, num_classes: int) -> None:
    """Set ``num_classes`` of every head of classes in a detector's config, or in the one that it wraps, in place.

    A one-stage detector has its heads at its top, a two-stage one in ``roi_head``; a cascade has lists of them.
    """
    detector = model.get('detector', model)
    for parent in (detector, detector.get('roi_head') or {}):
        for name in CLASS_HEADS:
            heads: Any = parent.get(name) or []
            for head in heads if isinstance(heads, (list, tuple)) else [heads]:
                head['num_classes'] = num_classes
