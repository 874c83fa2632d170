"""The runs beside a method's: its supervised baseline and label-once, derived from its config."""

import copy
from pathlib import Path
from typing import Any

from mmcv import Config, ConfigDict
from mmcv.runner import HOOKS

from ssod.apis.overrides import SETTINGS
from ssod.apis.recipe import images_per_iteration
from ssod.core.errors import InputError
from ssod.core.measures import Measures
from ssod.core.task import inner_model, task_of


def measures_of(cfg: Config) -> Measures:
    """The measures of a config's task.

    Raises:
        InputError: the config is not that of a method with a teacher on labeled and unlabeled images, is never
            evaluated, or its task cannot be compared.
    """
    if cfg.get('data', {}).get('train', {}).get('type') != 'SemiDataset' or inner_model(cfg.get('model', {})) is None:
        raise InputError(f'{cfg.filename} has no unlabeled images to compare with and without: give a method of ours')
    if 'evaluation' not in cfg:
        raise InputError(f'{cfg.filename} has no evaluation: student and teacher are chosen by it')
    task = task_of(cfg)
    measures = task.measures_of(cfg)
    if measures is None:
        raise InputError(f'{task.name} cannot be compared yet')
    measures.check(cfg)
    return measures


def method_config(cfg: Config) -> Config:
    """The method as it is: of a loaded config the settings that are read."""
    settings = {key: value for key, value in cfg._cfg_dict.items() if key in SETTINGS - {'cfg_name', 'work_dir'}}
    return Config(copy.deepcopy(settings), filename=cfg.filename)


def baseline_config(cfg: Config) -> Config:
    """The method's detector, average, views and schedule on the labeled images alone, as many of them per step.

    Args:
        cfg: of the method, from :func:`ssod.apis.load_config`.
    """
    own = method_config(cfg)
    own.model = with_model(cfg, measures_of(cfg).supervised, ('ema',))
    own.data.train = ordinary(cfg.data.train.labeled)
    if measures_of(cfg).labeled_by == 'baseline':
        source = cfg.data.train.unlabeled
        own.unlabeled_dataset = ConfigDict({key: value for key, value in source.items() if key != 'pipeline'})
    own.data.samples_per_gpu = max(1, round(images_per_iteration(cfg, processes=1).labeled))
    own.data.pop('sampler', None)
    own.pop('base_batch', None)  # which is one of the method's images
    own.custom_hooks = [hook for hook in own.get('custom_hooks') or [] if not needs_unlabeled(hook)]
    return own


def label_once_config(cfg: Config, threshold: float, labels: Path) -> Config:
    """The method's detector, views and schedule, its unlabeled images with labels on disk.

    Without the method's burn-in: these labels do not get better by waiting.

    Args:
        cfg: of the method, from :func:`ssod.apis.load_config`.
        threshold: score above which a label is learned from.
        labels: where :func:`ssod.apis.label_images` writes them.

    Raises:
        InputError: the config does not say how labels on disk are read.
    """
    own, measures = method_config(cfg), measures_of(cfg)
    own.model = with_model(cfg, measures.self_training, ('ema', 'sup_weight', 'unsup_weight'))
    own.data.train.unlabeled = measures.with_labels(cfg, labels, threshold)
    own.pseudo_score_thr = threshold
    own.custom_hooks = [hook for hook in own.get('custom_hooks') or [] if not needs_unlabeled(hook)]
    return own


def with_model(cfg: Config, kind: str, keys: tuple[str, ...]) -> ConfigDict:
    """The config's model as one of another kind, with those keys of its ``semi_train_cfg``; it predicts on the same."""
    model = copy.deepcopy(cfg.model)
    for name, own in (('semi_train_cfg', keys), ('semi_test_cfg', ('predict_on',))):
        settings = model.get(name) or {}
        if name in model or name == 'semi_train_cfg':
            model[name] = ConfigDict({key: settings[key] for key in own if key in settings})
    model.type = kind
    return model


def ordinary(dataset: Any) -> Any:
    """A labeled data set whose samples are the view ``sup`` itself, not a branch of that name.

    Wherever a pipeline stands: in the data set, or in those that it wraps.
    """
    if isinstance(dataset, (list, tuple)):
        return [ordinary(one) for one in dataset]
    if not isinstance(dataset, dict):
        return dataset
    plain = type(dataset)({key: ordinary(value) for key, value in dataset.items() if key != 'pipeline'})
    if 'pipeline' in dataset:
        ops = [op.sup if op.type == 'MultiBranch' else [op] for op in dataset['pipeline']]
        plain['pipeline'] = copy.deepcopy([op for part in ops for op in part])
    return plain


def needs_unlabeled(hook: dict) -> bool:
    """Whether a hook is about the unlabeled images of a method."""
    return getattr(HOOKS.get(hook['type']), 'needs_unlabeled', False)
