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
from ssod.data.serialize import loads_masks
from ssod.data.views.geometric import AffineOp

# Ops of MMDetection that change where things are; ours of resizing and flipping are among them.
HOST_GEOMETRY = (Resize, RandomFlip, RandomCrop, MinIoURandomCrop, Expand)

# Heads of a RoI head, and the targets in a batch that they learn from.
TARGETS = dict(mask_head='gt_masks', semantic_head='gt_semantic_seg')


def check_metrics(dataset: dict, metrics: str | Sequence[str], model: dict) -> None:
    """Refuse, before there is anything to evaluate, a metric that a COCO data set does not know or a model cannot have.

    Args:
        dataset, model: configs.
        metrics: their names.
    """
    known = ('bbox', 'segm', 'proposal', 'proposal_fast')
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if dataset.type == 'CocoDataset' and not set(metrics) <= set(known):
        raise InputError(f'no metric {sorted(set(metrics) - set(known))[0]!r}: CocoDataset has {", ".join(known)}')
    roi_head = model.get('detector', model).get('roi_head')
    if 'segm' in metrics and roi_head and not roi_head.get('mask_head'):
        raise InputError("the metric 'segm' is of masks, and the model has no mask head: ask for 'bbox' alone")


def check_targets(train: dict, model: dict) -> None:
    """Refuse a mask head or a semantic head that would find nothing to learn from in a batch.

    Args:
        train, model: ``data.train`` and the model of a config.

    Raises:
        InputError: says which key ``Collect`` has to take.
    """
    roi_head = model.get('detector', model).get('roi_head') or {}
    sources = (train['labeled'], train['unlabeled']) if train['type'] == 'SemiDataset' else (train,)
    for source in sources:
        collected = set(collected_keys(source))
        for head, key in TARGETS.items():
            if roi_head.get(head) and 'gt_bboxes' in collected and key not in collected:
                name = source.get('ann_file', 'the training data')
                raise InputError(
                    f'the detector has a {head}, and the pipeline of {name} brings no {key}: take one of '
                    'configs/_base_/datasets with `instance` or `stuff` in its name, or a detector without that head'
                )


def collected_keys(section: Any) -> Iterator[str]:
    """The keys that the ``Collect`` ops take, in the pipelines of a data set's config or of those that it wraps."""
    if isinstance(section, dict):
        yield from section['keys'] if section.get('type') == 'Collect' else collected_keys(list(section.values()))
    elif isinstance(section, (list, tuple)):
        for item in section:
            yield from collected_keys(item)


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
        InputError: class names that the annotation file lacks or orders otherwise, objects without a mask where masks
            are loaded, or no image left after filtering.
    """
    sources = train.sources if isinstance(train, SemiDataset) else {'labeled': train}
    for name, source in sources.items():
        if isinstance(source, CocoDataset) and name == 'labeled':
            check_categories(source)
        if isinstance(source, CocoDataset) and loads_masks(source.pipeline):
            check_masks(source)
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


def check_masks(dataset: CocoDataset) -> None:
    """Refuse a COCO file with objects of the classes that have no mask; crowds aside, which teach nothing."""
    known = set(dataset.cat_ids)
    objects = [a for a in dataset.coco.anns.values() if a['category_id'] in known and not a.get('iscrowd')]
    without = [annotation['id'] for annotation in objects if not has_mask(annotation.get('segmentation'))]
    if without:
        raise InputError(
            f'{dataset.ann_file}: {len(without)} of {len(objects)} objects have no mask, the first is the annotation '
            f'{without[0]}: complete their `segmentation`, or train a detector of boxes'
        )


def has_mask(segmentation: Any) -> bool:
    """Whether COCO's ``segmentation`` holds run lengths, or a polygon of three points or more."""
    if isinstance(segmentation, list):
        return any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in segmentation)
    return isinstance(segmentation, dict) and 'counts' in segmentation


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
