"""Train a detector, semi-supervised or not, from a config."""

import os.path as osp
from logging import Logger
from pathlib import Path

import torch
from mmcv import Config, mkdir_or_exist
from mmcv.parallel import MMDataParallel
from mmcv.runner import IterBasedRunner, build_optimizer, build_runner, get_dist_info
from mmdet.apis import init_random_seed
from mmdet.utils import get_root_logger
from torch import nn
from torch.utils.data import Dataset

from ssod.compat import DistributedDataParallel
from ssod.core import SemiModel, TeacherStudent
from ssod.core.errors import building
from ssod.core.task import Task, task_of
from ssod.data import (
    build_test_loader,
    build_train_loader,
    garbage_collection_off,
    normalize_inputs,
    pack_annotations,
)
from ssod.data.loader import test_dataset_config
from ssod.hooks import (
    MeanTeacherHook,
    SeedHook,
    SemiEvalHook,
    StepSharesHook,
    StopSignalHook,
    SyncBuffersEachIterHook,
    build_optimizer_hook,
)
from ssod.hooks.optimizer import iters_per_step

from .checks import check_datasets
from .recipe import effective, settle
from .weights import initialize, restore, start_of


def train_detector(cfg: Config, seed: int, distributed: bool = False, timestamp: str | None = None) -> IterBasedRunner:
    """Train as the config says, from its start or from ``cfg.resume_from`` / ``cfg.auto_resume``.

    Args:
        cfg: from :func:`load_config`.
        seed: the same on every rank; with it, rank and iteration determine every draw.
        distributed: one of several processes that have joined a process group.
        timestamp: names the log files.

    Returns:
        The runner after its last iteration.

    Raises:
        InputError: the config or the data are unusable; nothing has been trained then.
    """
    logger = get_root_logger(log_level=cfg.get('log_level', 'INFO'))
    processes = get_dist_info()[1]
    if said := settle(cfg, processes):
        logger.log(*said)
    text = record_config(cfg, logger)
    dataset = build_train_dataset(cfg)
    model = build_model(cfg, dataset)
    logger.info(effective(cfg, dataset, processes))
    prepare_for_training(task_of(cfg), model, cfg.get('accelerate', True), cfg.get('channels_last', False))
    pack_annotations(dataset)
    with building('optimizer, runner'):
        runner = build_runner(
            cfg.runner,
            default_args=dict(
                model=parallelize(model, distributed, cfg.get('find_unused_parameters', False)),
                optimizer=build_optimizer(trained_part(model), cfg.optimizer),
                work_dir=cfg.work_dir,
                logger=logger,
                meta=dict(
                    seed=seed,
                    config=text,
                    exp_name=osp.basename(cfg.work_dir),
                    **task_of(cfg).checkpoint_meta(dataset),
                ),
            ),
        )
    runner.timestamp = timestamp
    stop = StopSignalHook()
    with building('hooks'):
        register_hooks(runner, cfg, seed, distributed, stop)
    restore(runner, cfg)
    with building('data'):
        loader = build_train_loader(dataset, cfg.data, seed, start=runner.iter)
    if iters_per_step(runner) > 1 and isinstance(model, SemiModel):
        runner.register_hook(StepSharesHook(loader.batch_sampler, iters_per_step(runner)))
    with stop.listening():
        runner.run([loader], [('train', 1)])
    return runner


def record_config(cfg: Config, logger: Logger) -> str:
    """Log the config's text and write it to the work dir: on rank 0, which keeps the checkpoints; '' on the others."""
    if get_dist_info()[0] != 0:
        return ''
    text = cfg.pretty_text  # takes seconds
    logger.info(f'Config:\n{text}')
    mkdir_or_exist(cfg.work_dir)
    Path(cfg.work_dir, osp.basename(cfg.filename or 'config.py')).write_text(text, encoding='utf-8')
    return text


def build_train_dataset(cfg: Config) -> Dataset:
    """Build the training set; mmdet's complaints about its files become one sentence."""
    with building('data.train'), garbage_collection_off():
        return task_of(cfg).build_dataset(cfg.data.train)


def build_model(cfg: Config, dataset: Dataset) -> nn.Module:
    """Build the detector, check the data against it, and initialize its weights."""
    task = task_of(cfg)
    with building('model'):
        model = task.build_model(cfg.model)
    # mmcv would log a paragraph for each parameter.
    trained_part(model)._dump_init_info = lambda logger_name: None
    check_datasets(task, dataset, task.num_classes(model))
    initialize(model, start_of(cfg)[0], get_root_logger())
    model.CLASSES = dataset.CLASSES
    if isinstance(model, TeacherStudent):
        model.student.CLASSES = model.teacher.CLASSES = dataset.CLASSES
    return model


def prepare_for_training(task: Task, model: nn.Module, fast: bool = True, channels_last: bool = False) -> None:
    """What training wants of a model beyond its architecture; parameters and checkpoints keep names and values.

    Args:
        task: what the model is for.
        model: a ``TeacherStudent`` or a plain detector.
        fast: swap in the task's faster parts of equal results.
        channels_last: convolutions, and so feature maps, hold the channels of a pixel together: what a GPU's tensor
            cores want in half precision, and a CPU does not.
    """
    if not isinstance(model, TeacherStudent):  # which normalizes its own input
        model.register_forward_pre_hook(normalize_inputs, with_kwargs=True)  # the training views' images are uint8
    task.accelerate(model, fast)
    if channels_last:
        model.to(memory_format=torch.channels_last)


def trained_part(model: nn.Module) -> nn.Module:
    """What the optimizer trains: the student, or a plain detector itself."""
    return model.student if isinstance(model, TeacherStudent) else model


def parallelize(model: nn.Module, distributed: bool, find_unused_parameters: bool = False) -> nn.Module:
    """Put the model on this process's device, in the wrapper that opens mmcv's DataContainers.

    Buffers are synchronised by a hook, after each iteration, not by DDP before the next: see SyncBuffersEachIterHook.
    """
    cuda = torch.cuda.is_available()
    if not distributed:
        device_ids = [torch.cuda.current_device()] if cuda else []
        return MMDataParallel(model.cuda() if cuda else model, device_ids=device_ids)
    device_ids = [torch.cuda.current_device()] if cuda else None
    settings = dict(broadcast_buffers=False, find_unused_parameters=find_unused_parameters)
    return DistributedDataParallel(model.cuda() if cuda else model, device_ids, **settings)


def register_hooks(runner: IterBasedRunner, cfg: Config, seed: int, distributed: bool, stop: StopSignalHook) -> None:
    """The hooks of the config, and those that every run needs."""
    runner.register_training_hooks(
        cfg.lr_config,
        build_optimizer_hook(cfg.get('optimizer_config'), cfg.get('fp16')),
        cfg.checkpoint_config,
        cfg.log_config,
        cfg.get('momentum_config'),
        custom_hooks_config=cfg.get('custom_hooks'),
    )
    runner.register_hook(SeedHook(seed), priority='VERY_HIGH')
    semi = isinstance(runner.model.module, TeacherStudent)
    if semi and not any(isinstance(hook, MeanTeacherHook) for hook in runner.hooks):
        runner.register_hook(MeanTeacherHook())
    runner.register_hook(SyncBuffersEachIterHook(), priority='ABOVE_NORMAL')
    runner.register_hook(stop, priority='LOW')  # after a checkpoint, before an evaluation
    if 'evaluation' in cfg:
        task = task_of(cfg)
        dataset = task.build_dataset(test_dataset_config(cfg.data.val, cfg.data), test_mode=True)
        task.prepare_test_data(dataset, runner.model.module.CLASSES)
        loader = build_test_loader(dataset, cfg.data, distributed)
        runner.register_hook(
            SemiEvalHook(loader, evaluate=task.evaluate, keep=task.keep, **cfg.evaluation), priority='LOW'
        )


def run_seed(seed: int | None) -> int:
    """The given seed, or one drawn by rank 0 and told to the others."""
    _, world_size = get_dist_info()
    device = 'cuda' if world_size > 1 and torch.cuda.is_available() else 'cpu'
    return init_random_seed(seed, device=device)
