"""What is wrong with the input, said before training starts."""

import os
import os.path as osp
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np
from mmcv import Config
from mmdet.datasets import CocoDataset
from torch import nn
from torch.utils.data import Dataset

from ssod.datasets import SemiDataset


class InputError(ValueError):
    """Something in a config, a file or a command line that the user can mend; the message says what and how."""


def run_command(main: Callable[[], None]) -> None:
    """Call a command's ``main``; what the user can mend ends in one sentence and status 1.

    Of several processes on a machine one speaks. The others wait: torchrun ends all as soon as one has ended.
    """
    try:
        main()
    except InputError as error:
        if os.environ.get('LOCAL_RANK', '0') != '0':
            time.sleep(10)
            sys.exit(1)
        sys.exit(f'error: {error}')


@contextmanager
def building(what: str) -> Iterator[None]:
    """A setting that one of the host's parts or ours refuses is an InputError; the refusal stays as its cause.

    Only around what is built from the config: an error in a training step keeps its traceback.
    """
    try:
        yield
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        # mmcv puts the name of each class on the way in front, and ours name themselves.
        parts = str(error.args[0] if error.args else error).split(': ')
        raise InputError(f'{what}: {": ".join(part for part, _ in groupby(parts))}') from error


@contextmanager
def reading_checkpoint(path: str) -> Iterator[None]:
    """A checkpoint that is not there or cannot be used is an InputError: what torch raises for a bad file is not fixed.

    Raises:
        InputError: no such file, or any error while it is read.
    """
    if '://' not in path and not osp.isfile(path):
        raise InputError(f'no checkpoint {path}')
    try:
        yield
    except Exception as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise InputError(f'cannot load the checkpoint {path}: {reason[0]}') from error


def check_classes(classes: Any) -> None:
    """Refuse class names that are not a list of names: ``('cell')`` without a comma is a string, not a tuple."""
    if isinstance(classes, str):
        raise InputError(f"classes is the string {classes!r}: write a list, ['{classes}'], or a tuple with a comma")
    if not classes or not all(isinstance(name, str) for name in classes):
        raise InputError(f'classes must be a list of class names, got {classes!r}')
    if len(set(classes)) < len(classes):
        raise InputError(f'classes holds a name twice: {list(classes)}')


def data_set_configs(cfg: Config) -> dict[str, dict]:
    """The config of each single data set, by its place in the config."""
    train = cfg.data.train
    places = {'data.val': cfg.data.get('val'), 'data.test': cfg.data.get('test')}
    if train.type == 'SemiDataset':
        places = {'data.train.labeled': train.labeled, 'data.train.unlabeled': train.unlabeled, **places}
    else:
        places = {'data.train': train, **places}
    return {place: data for place, data in places.items() if data}


def check_config(cfg: Config, splits: Sequence[str] = ('train', 'val')) -> None:
    """Refuse what can be seen wrong without reading data.

    Args:
        splits: which of 'train', 'val', 'test' will be used.

    Raises:
        InputError: classes given as a string, annotation files or image folders that do not exist, a batch smaller
            than the number of sources, a missing setting.
    """
    for place, data in data_set_configs(cfg).items():
        if place.split('.')[1] not in splits:
            continue
        if data.get('classes') is not None:
            check_classes(data.classes)
        check_paths(place, data)
    if 'train' in splits and cfg.data.train.type == 'SemiDataset':
        batch, sampler = cfg.data.samples_per_gpu, cfg.data.get('sampler', {})
        if batch < 2 and sampler.get('at_least_one', True):
            raise InputError(
                f'data.samples_per_gpu={batch} cannot hold a labelled and an unlabelled image: set 2 or more, '
                'or data.sampler.at_least_one=False to let them take turns'
            )


def check_train_config(cfg: Config) -> None:
    """:func:`check_config` of what training uses, its evaluation included.

    Raises:
        InputError: as there, or an evaluation metric that does not exist.
    """
    check_config(cfg, ('train', 'val') if 'evaluation' in cfg else ('train',))
    if 'evaluation' in cfg:
        check_metrics(cfg.data.val, cfg.evaluation.get('metric', 'bbox'))


def check_metrics(dataset: dict, metrics: str | Sequence[str]) -> None:
    """Refuse, before there is anything to evaluate, a metric that a COCO data set does not know."""
    known = ('bbox', 'segm', 'proposal', 'proposal_fast')
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if dataset.type == 'CocoDataset' and not set(metrics) <= set(known):
        raise InputError(f'no metric {sorted(set(metrics) - set(known))[0]!r}: CocoDataset has {", ".join(known)}')


def check_paths(place: str, data: dict) -> None:
    """Refuse a data set whose annotation file or image folder is not there."""
    root = data.get('data_root') or ''
    for key, exists in (('ann_file', osp.isfile), ('img_prefix', osp.isdir)):
        path = data.get(key)
        if not isinstance(path, str) or not path or '://' in path:
            continue
        path = path if osp.isabs(path) else osp.join(root, path)
        if not exists(path):
            raise InputError(f'{place}.{key}: {path} does not exist{where_from(data, path)}')


def where_from(data: dict, path: str) -> str:
    """What makes a missing file of a data set, where that is a tool of ours."""
    if path.endswith('.json') and data.get('type') == 'PseudoLabelDataset':
        return ' (write it with tools/pseudo_label.py, or let tools/train_multi_stage.sh run all stages)'
    if '@' in osp.basename(path):
        return ' (make the split with tools/dataset/semi_coco.py, or prepare_coco_data.sh for COCO)'
    return ''


def check_datasets(train: Dataset, num_classes: int | None) -> None:
    """Refuse training data that would train nothing.

    Args:
        train: the built training set.
        num_classes: classes of the detector's box head, None if it has none.

    Raises:
        InputError: class names that the annotation file lacks, another number of classes than the head's, no image
            left after filtering, no box for the classes, an image file that is missing.
    """
    sources = train.sources if isinstance(train, SemiDataset) else {'labeled': train}
    for name, source in sources.items():
        if isinstance(source, CocoDataset):
            check_categories(name, source)
        if len(source) == 0:
            kind = {'labeled': 'labelled', 'unlabeled': 'unlabelled'}[name]
            raise InputError(
                f'no {kind} image left of {getattr(source, "ann_file", "the data set")}: '
                'images without boxes of the classes (filter_empty_gt) and those under 32 pixels are dropped'
            )
        check_images(source)
    classes = sources['labeled'].CLASSES
    if num_classes is not None and classes is not None and num_classes != len(classes):
        raise InputError(
            f'the box head has num_classes={num_classes}, the data {len(classes)} classes {tuple(classes)[:8]}: '
            'set `classes` at the top of the config, which sets both'
        )


def check_categories(name: str, dataset: CocoDataset) -> None:
    """Refuse class names that a labelled COCO file lacks, and a file without a box of the classes."""
    if name == 'unlabeled':
        return
    known = [category['name'] for category in dataset.coco.dataset.get('categories', [])]
    missing = [cls for cls in dataset.CLASSES if cls not in known]
    if missing:
        raise InputError(f'{dataset.ann_file} has no class {missing}; its categories are {known}: mend `classes`')
    order = [cls for cls in known if cls in dataset.CLASSES]
    if order != list(dataset.CLASSES):
        # mmdet numbers labels as the file does, whatever the order of `classes`: the names would be mixed up.
        raise InputError(f'{dataset.ann_file} has its classes in another order: set classes={order}')


def check_images(dataset: Dataset, sample: int = 64) -> None:
    """Refuse a data set of whose image files, ``sample`` of them looked at, some are missing."""
    infos = getattr(dataset, 'data_infos', [])
    for index in np.unique(np.linspace(0, len(infos) - 1, min(sample, len(infos))).astype(int)):
        path = osp.join(dataset.img_prefix or '', infos[index]['filename'])
        if '://' not in path and not osp.isfile(path):
            raise InputError(f'the image {path} named in {dataset.ann_file} does not exist: check img_prefix')


def check_checkpoint_classes(model: nn.Module, classes: Sequence[str] | None, checkpoint: str) -> None:
    """Refuse a checkpoint trained for another number of classes than the config's detector."""
    num_classes = num_classes_of(model)
    if classes is not None and num_classes is not None and len(classes) != num_classes:
        raise InputError(
            f'{checkpoint} was trained for {len(classes)} classes, the config has {num_classes}: use its own config'
        )


def num_classes_of(model: nn.Module) -> int | None:
    """Classes of a two-stage detector's box head; None where there is no single one."""
    roi_head = getattr(getattr(model, 'student', model), 'roi_head', None)
    return getattr(getattr(roi_head, 'bbox_head', None), 'num_classes', None)
