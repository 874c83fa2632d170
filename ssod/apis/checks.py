"""What is wrong with the input, said before training starts."""

import os
import os.path as osp
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmcv import Config
from torch.utils.data import Dataset

from ssod.core.errors import InputError, building
from ssod.core.task import Task, task_of
from ssod.data import SemiDataset

from .schedule_check import check_schedule
from .settings_check import check_settings


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
    with building('model'):
        task_of(cfg).check_config(cfg, splits)
    if 'train' in splits and cfg.data.train.type == 'SemiDataset':
        batch, sampler = cfg.data.samples_per_gpu, cfg.data.get('sampler', {})
        if batch < 2 and sampler.get('at_least_one', True):
            raise InputError(
                f'data.samples_per_gpu={batch} cannot hold a labeled and an unlabeled image: set 2 or more, '
                'or data.sampler.at_least_one=False to let them take turns'
            )


def check_train_config(cfg: Config) -> None:
    """:func:`check_config` of what training uses, its evaluation included; and settings without effect.

    A schedule that ``auto_scale`` has still to change is not looked at.
    """
    check_settings(cfg)
    if not cfg.get('auto_scale'):
        check_schedule(cfg)
    check_config(cfg, ('train', 'val') if 'evaluation' in cfg else ('train',))


# The keys of data sets that name files and folders, MMDetection's and MMSegmentation's.
PATHS = dict(ann_file=osp.isfile, img_prefix=osp.isdir, split=osp.isfile, img_dir=osp.isdir, ann_dir=osp.isdir)


def check_paths(place: str, data: dict) -> None:
    """Refuse a data set of whose files and folders one is not there."""
    root = data.get('data_root') or ''
    for key, exists in PATHS.items():
        path = data.get(key)
        if not isinstance(path, str) or not path or '://' in path:
            continue
        path = path if osp.isabs(path) else osp.join(root, path)
        if not exists(path):
            raise InputError(f'{place}.{key}: {path} does not exist{where_from(data, path)}')


def where_from(data: dict, path: str) -> str:
    """What makes a missing file of a data set, where that is a tool of ours."""
    if data.get('type') == 'PseudoMapDataset':
        return ' (write it with tools/pseudo_label.py, or let tools/train_rounds.sh run all rounds)'
    if path.endswith('.json') and data.get('type') == 'PseudoLabelDataset':
        return ' (write it with tools/pseudo_label.py, or let tools/train_multi_stage.sh run all stages)'
    if '@' in osp.basename(path):
        return ' (make the split with tools/dataset/semi_coco.py, or prepare_coco_data.sh for COCO)'
    return ''


def check_datasets(task: Task, train: Dataset, num_classes: int | None) -> None:
    """Refuse training data that would train nothing.

    Args:
        task: what the data are for.
        train: the built training set.
        num_classes: classes that the model tells apart, None if there is no single number.

    Raises:
        InputError: what the task refuses, an image file that is missing, or another number of classes than the model's.
    """
    task.check_training_data(train)
    sources = train.sources if isinstance(train, SemiDataset) else {'labeled': train}
    for source in sources.values():
        check_images(source)
    classes = sources['labeled'].CLASSES
    if num_classes is not None and classes is not None and num_classes != len(classes):
        raise InputError(
            f'the model has num_classes={num_classes}, the data {len(classes)} classes {tuple(classes)[:8]}: '
            'set `classes` at the top of the config, which sets both'
        )


def check_images(dataset: Dataset, sample: int = 64) -> None:
    """Refuse a data set of whose image files, ``sample`` of them looked at, some are missing."""
    infos = getattr(dataset, 'data_infos', [])
    for index in np.unique(np.linspace(0, len(infos) - 1, min(sample, len(infos))).astype(int)):
        path = osp.join(dataset.img_prefix or '', infos[index]['filename'])
        if '://' not in path and not osp.isfile(path):
            raise InputError(f'the image {path} named in {dataset.ann_file} does not exist: check img_prefix')


def check_checkpoint_classes(num_classes: int | None, classes: Sequence[str] | None, checkpoint: str) -> None:
    """Refuse a checkpoint trained for another number of classes than the config's model."""
    if classes is not None and num_classes is not None and len(classes) != num_classes:
        raise InputError(
            f'{checkpoint} was trained for {len(classes)} classes, the config has {num_classes}: use its own config'
        )
