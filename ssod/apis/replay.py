"""A training step again, from what a run left when its losses were not finite."""

from types import SimpleNamespace
from typing import Any

import torch
from mmcv import Config
from mmcv.runner import get_dist_info
from mmdet.utils import get_root_logger

from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError, building
from ssod.data import build_train_loader, pack_annotations
from ssod.hooks import AmpOptimizerHook, SeedHook, build_optimizer_hook
from ssod.hooks.amp import follow_fp16

from .facts import differences, facts_of
from .start import Start
from .train import build_model, build_train_dataset, parallelize, prepare
from .weights import read_checkpoint


def replay(cfg: Config, path: str, distributed: bool = False) -> tuple[dict[str, float], dict[str, float]]:
    """The losses of the step, as it was and as it is now: equal bit for bit on the same machine.

    The file holds the weights before the step. The batch and all that is drawn are functions of seed, rank and
    iteration, so the config and its data bring them again.

    Args:
        cfg: of the run.
        path: of a ``nonfinite_iter_N.pth`` in its work dir.
        distributed: one of as many processes as the run had.

    Raises:
        InputError: the file is none of a run's, or was left by a run of another seed, batch, or number of processes.
    """
    loaded = load_file(path)
    if 'replay' not in loaded:
        raise InputError(f'{path} tells no step: give a nonfinite_iter_N.pth of a work dir')
    meta, before = loaded['meta'], loaded['replay']
    if changed := differences(meta['facts'], facts_of(cfg, meta['seed'], get_dist_info()[1])):
        raise InputError(f'{path} is of another run: {", ".join(changed)}')
    dataset = build_train_dataset(cfg)
    model = build_model(cfg, dataset, Start(path))
    prepare(cfg, model)
    pack_annotations(dataset)
    read_checkpoint(model, path)
    for name, value in before['settings'].items():
        setattr(model, name, value)
    wrapped = parallelize(model, distributed, cfg.get('find_unused_parameters', False)).train()
    with building('data'):
        loader = build_train_loader(dataset, cfg.data, meta['seed'], start=meta['iter'])
    hook = build_optimizer_hook(cfg.get('optimizer_config'), cfg.get('fp16'))
    if isinstance(hook, AmpOptimizerHook):
        follow_fp16(wrapped, hook.dtype, 'replaying', get_root_logger().info)
    return before['log_vars'], step(wrapped, next(iter(loader)), meta['seed'], meta['iter'])


def step(model: torch.nn.Module, batch: dict[str, Any], seed: int, iteration: int) -> dict[str, float]:
    """What a training step of an iteration logs."""
    SeedHook(seed).before_train_iter(SimpleNamespace(iter=iteration))
    return dict(model.train_step(batch, None)['log_vars'])
