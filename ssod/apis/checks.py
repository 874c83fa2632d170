"""What is wrong with the input, said before training starts."""

import os
import os.path as osp
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from mmcv import Config, ConfigDict
from mmdet.utils import get_root_logger
from torch.utils.data import Dataset

from ssod.core.errors import InputError, building
from ssod.core.files import FULL
from ssod.core.task import Task, task_of
from ssod.data import SemiDataset

from .data_checks import check_source
from .ranges_check import check_ranges
from .schedule_check import check_schedule
from .settings_check import check_settings

PICKLES = ('.pkl', '.pickle')


def run_command(main: Callable[[], None]) -> None:
    """Call a command's ``main``; what the user can mend ends in one sentence and status 1.

    Of several processes on a machine one speaks. The others wait: torchrun ends all as soon as one has ended.
    """
    try:
        main()
    except (InputError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in FULL:
            raise
        if os.environ.get('LOCAL_RANK', '0') != '0':
            time.sleep(10)
            sys.exit(1)
        sys.exit(f'error: {sentence_of(error)}')


def sentence_of(error: Exception) -> str:
    """What a command says of an error; that of a loader's worker comes with the text of its traceback around it."""
    if isinstance(error, OSError):
        return f'cannot write {error.filename or "to the disk"}: {error.strerror}; make room, and start again'
    text = str(error)
    return text.rstrip().splitlines()[-1].split(': ', 1)[-1] if 'Original Traceback' in text else text


def check_classes(classes: Any) -> None:
    """Refuse class names that are not a list of names: ``('cell')`` without a comma is a string, not a tuple."""
    if isinstance(classes, str):
        raise InputError(f"classes is the string {classes!r}: write a list, ['{classes}'], or a tuple with a comma")
    if not classes or not all(isinstance(name, str) for name in classes):
        raise InputError(f'classes must be a list of class names, got {classes!r}')
    if len(set(classes)) < len(classes):
        raise InputError(f'classes holds a name twice: {list(classes)}')


def data_set_configs(cfg: Config) -> dict[str, ConfigDict]:
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
    check_ranges(cfg)
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
    for key in ('ann_file', 'proposal_file'):
        if str(data.get(key) or '').endswith(PICKLES):
            raise InputError(f'{place}.{key}={data[key]} is a pickle, which could run code: write it as JSON')


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
        check_source(source)
    if len(sources) == 2:
        say_overlap(*sources.values())
    classes = sources['labeled'].CLASSES
    if num_classes is not None and classes is not None and num_classes != len(classes):
        raise InputError(
            f'the model has num_classes={num_classes}, the data {len(classes)} classes {tuple(classes)[:8]}: '
            'set `classes` at the top of the config, which sets both'
        )


def say_overlap(labeled: Dataset, unlabeled: Dataset) -> None:
    """Say how many images are in both sources; the unlabeled view of a labeled image teaches little."""
    names = image_paths(labeled)
    if shared := names & image_paths(unlabeled):
        get_root_logger().warning(
            f'{len(shared)} of {len(names)} labeled images are among the unlabeled ones too, {min(shared)} the first'
        )


def image_paths(dataset: Dataset) -> set[str]:
    """The paths of a data set's images, as far as it says them."""
    folder = getattr(dataset, 'img_prefix', None) or ''
    return {osp.join(folder, info['filename']) for info in getattr(dataset, 'data_infos', [])}


def check_checkpoint_classes(num_classes: int | None, classes: Sequence[str] | None, checkpoint: str) -> None:
    """Refuse a checkpoint trained for another number of classes than the config's model."""
    if classes is not None and num_classes is not None and len(classes) != num_classes:
        raise InputError(
            f'{checkpoint} was trained for {len(classes)} classes, the config has {num_classes}: use its own config'
        )
