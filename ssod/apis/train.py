"""Train a detector, semi-supervised or not, from a config."""

import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger
from pathlib import Path

import torch
from mmcv import Config
from mmcv.parallel import MMDataParallel
from mmcv.runner import HOOKS, IterBasedRunner, build_optimizer, build_runner, get_dist_info
from mmdet.apis import init_random_seed
from mmdet.utils import get_root_logger
from torch import nn
from torch.utils.data import Dataset

from ssod.compat import DistributedDataParallel
from ssod.core import SemiModel, TeacherStudent
from ssod.core.compiling import compile_networks
from ssod.core.errors import building
from ssod.core.files import remove_leftovers, write_whole
from ssod.core.task import Task, task_of
from ssod.data import (
    build_test_loader,
    build_train_loader,
    garbage_collection_off,
    normalize_inputs,
    pack_annotations,
)
from ssod.data.loader import test_dataset_config
from ssod.data.reading import guard_reading
from ssod.hooks import (
    BrokenImagesHook,
    MeanTeacherHook,
    ProgressHook,
    SeedHook,
    SemiEvalHook,
    StepSharesHook,
    StopSignalHook,
    SyncBuffersEachIterHook,
    TeacherCollapseHook,
    build_optimizer_hook,
)
from ssod.hooks.loggers import Tracker, with_our_loggers
from ssod.hooks.optimizer import iters_per_step
from ssod.hooks.ranks import DEFAULT, NoteIterationHook, watching

from .checks import check_datasets, data_set_configs
from .data_checks import TEST_HEADERS, building_data, check_source
from .facts import facts_of
from .recipe import effective, settle
from .report import report_at_end
from .report.record import Recorder
from .report.start import start_record, write_start
from .runner import with_whole_checkpoints
from .start import Start, check_work_dir, restore, start_of
from .weights import initialize

# Between mmcv's loggers, VERY_LOW (90), and the evaluation, LOWEST (100).
SAVING, STOPPING = 93, 96


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
    start = start_of(cfg)
    check_work_dir(cfg, start)
    text = record_config(cfg, logger)
    record = start_record(cfg, seed, processes) if text else {}
    dataset = build_train_dataset(cfg)
    model = build_model(cfg, dataset, start)
    logger.info(effective(cfg, dataset, processes))
    prepare(cfg, model)
    pack_annotations(dataset)
    facts = facts_of(cfg, seed, processes) if get_dist_info()[0] == 0 else {}
    meta = dict(seed=seed, config=text, exp_name=osp.basename(cfg.work_dir), facts=facts)
    meta.update(task_of(cfg).checkpoint_meta(dataset))
    runner = make_runner(cfg, model, meta, distributed)
    runner.timestamp = timestamp
    stop = StopSignalHook()
    with building('hooks'):
        register_hooks(runner, cfg, seed, distributed, stop)
    restore(runner, start, task_of(cfg).num_classes(model))
    with building('data'):
        loader = build_train_loader(dataset, cfg.data, seed, start=runner.iter)
    runner.register_hook(BrokenImagesHook(loader.dataset, cfg.data.get('max_broken_share')))
    if iters_per_step(runner) > 1 and isinstance(model, SemiModel):
        runner.register_hook(StepSharesHook(loader.batch_sampler, iters_per_step(runner)))
    if text:
        # Not earlier: a run that is refused leaves the folder of the run before as it was.
        write_whole(Path(cfg.work_dir, osp.basename(cfg.filename or 'config.py')), text)
        remove_leftovers(cfg.work_dir)
        write_start(cfg.work_dir, record)
    watch = watching(cfg.get('rank_timeout', DEFAULT))
    with showing(runner, cfg), stop.listening(), watch:
        runner.run([loader], [('train', 1)])
    if text:
        report_at_end(cfg.work_dir, runner.logger)
    return runner


@contextmanager
def showing(runner: IterBasedRunner, cfg: Config) -> Iterator[None]:
    """Show how far the run is; whatever ends it, give the terminal back, and end the runs of trackers."""
    hook = ProgressHook((cfg.get('log_config') or {}).get('interval', 50))
    runner.register_hook(hook, priority='VERY_LOW')
    what = 'failed'
    try:
        yield
        what = 'done'
    except (SystemExit, KeyboardInterrupt):
        what = 'stopped'
        raise
    finally:
        hook.close(what)
        for tracker in runner.hooks if what != 'done' else ():
            if isinstance(tracker, Tracker):
                tracker.end(failed=what == 'failed')


def make_runner(cfg: Config, model: nn.Module, meta: dict, distributed: bool) -> IterBasedRunner:
    """The config's runner, without hooks; ``meta`` goes into its checkpoints, which are written whole."""
    with building('optimizer, runner'):
        return build_runner(
            {**cfg.runner, 'type': with_whole_checkpoints(cfg.runner.type)},
            default_args=dict(
                model=parallelize(model, distributed, cfg.get('find_unused_parameters', False)),
                optimizer=build_optimizer(trained_part(model), cfg.optimizer),
                work_dir=cfg.work_dir,
                logger=get_root_logger(),
                meta=meta,
            ),
        )


def record_config(cfg: Config, logger: Logger) -> str:
    """Log the config's text; returns it on rank 0, which keeps the checkpoints, and '' on the others."""
    if get_dist_info()[0] != 0:
        return ''
    text = cfg.pretty_text  # takes seconds
    logger.info(f'Config:\n{text}')
    return text


def build_train_dataset(cfg: Config) -> Dataset:
    """Build the training set; mmdet's complaints about its files become one sentence."""
    places = {place: data for place, data in data_set_configs(cfg).items() if place.startswith('data.train')}
    with building_data('data.train', list(places.values())), garbage_collection_off():
        dataset = task_of(cfg).build_dataset(cfg.data.train)
    guard_reading(dataset, cfg.data.get('max_image_pixels'))
    return dataset


def build_model(cfg: Config, dataset: Dataset, start: Start | None = None) -> nn.Module:
    """Build the detector, check the data against it, and initialize its weights; ``start`` is what they will be."""
    task = task_of(cfg)
    with building('model'):
        model = task.build_model(cfg.model)
    # mmcv would log a paragraph for each parameter.
    trained_part(model)._dump_init_info = lambda logger_name: None
    check_datasets(task, dataset, task.num_classes(model))
    initialize(model, (start or Start()).path, get_root_logger())
    model.CLASSES = dataset.CLASSES
    if isinstance(model, TeacherStudent):
        model.student.CLASSES = model.teacher.CLASSES = dataset.CLASSES
    return model


def prepare(cfg: Config, model: nn.Module) -> None:
    """Prepare a config's model for its training; see :func:`prepare_for_training`."""
    compiling = cfg.get('compile') or {}
    fast, channels_last = cfg.get('accelerate', True), cfg.get('channels_last', False)
    prepare_for_training(task_of(cfg), model, fast, channels_last, compiling.get('backend'))


def prepare_for_training(
    task: Task, model: nn.Module, fast: bool = True, channels_last: bool = False, backend: str | None = None
) -> None:
    """What training wants of a model beyond its architecture; parameters and checkpoints keep names and values.

    Args:
        task: what the model is for.
        model: a ``TeacherStudent`` or a plain detector.
        fast: swap in the task's faster parts of equal results.
        channels_last: convolutions, and so feature maps, hold the channels of a pixel together: what a GPU's tensor
            cores want in half precision, and a CPU does not.
        backend: of ``torch.compile``, for backbones and necks; None: they are not compiled.
    """
    if not isinstance(model, TeacherStudent):  # which normalizes its own input
        model.register_forward_pre_hook(normalize_inputs, with_kwargs=True)  # the training views' images are uint8
    task.accelerate(model, fast)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if backend is not None:
        compile_networks(model, backend)


def trained_part(model: nn.Module) -> nn.Module:
    """What the optimizer trains: the student, or a plain detector itself."""
    return model.student if isinstance(model, TeacherStudent) else model


def parallelize(model: nn.Module, distributed: bool, find_unused_parameters: bool = False) -> nn.Module:
    """Put the model on this process's device, in the wrapper that opens mmcv's DataContainers.

    Buffers are synchronised by a hook, after each iteration, not by DDP before the next: see SyncBuffersEachIterHook.
    """
    device_ids: list[int] = []
    if torch.cuda.is_available():
        device_ids, model = [torch.cuda.current_device()], model.cuda()
    if not distributed:
        return MMDataParallel(model, device_ids=device_ids)
    settings = dict(broadcast_buffers=False, find_unused_parameters=find_unused_parameters)
    return DistributedDataParallel(model, device_ids or None, **settings)


def register_hooks(runner: IterBasedRunner, cfg: Config, seed: int, distributed: bool, stop: StopSignalHook) -> None:
    """The hooks of the config, and those that every run needs.

    In mmcv's order a checkpoint comes before the log line of its iteration, which a kill between them would lose: the
    run goes on behind it. Here it comes after the loggers; then come the signal to stop, and the evaluation, which logs
    its metrics itself.
    """
    runner.register_training_hooks(
        cfg.lr_config,
        build_optimizer_hook(cfg.get('optimizer_config'), cfg.get('fp16')),
        None,
        with_our_loggers(cfg.log_config),
        cfg.get('momentum_config'),
        custom_hooks_config=cfg.get('custom_hooks'),
    )
    if cfg.checkpoint_config:
        checkpoints = {'type': 'CheckpointHook', 'by_epoch': False, **cfg.checkpoint_config}
        runner.register_hook(HOOKS.build(checkpoints), priority=SAVING)
    runner.register_hook(NoteIterationHook(), priority='HIGHEST')
    runner.register_hook(SeedHook(seed), priority='VERY_HIGH')
    semi = isinstance(runner.model.module, TeacherStudent)
    if semi and not any(isinstance(hook, MeanTeacherHook) for hook in runner.hooks):
        runner.register_hook(MeanTeacherHook())
    if isinstance(runner.model.module, SemiModel) and not any(isinstance(h, TeacherCollapseHook) for h in runner.hooks):
        runner.register_hook(TeacherCollapseHook())
    runner.register_hook(SyncBuffersEachIterHook(), priority='ABOVE_NORMAL')
    runner.register_hook(stop, priority=STOPPING)
    if 'evaluation' in cfg:
        task = task_of(cfg)
        with building_data('data.val', [cfg.data.val]):
            dataset = task.build_dataset(test_dataset_config(cfg.data.val, cfg.data), test_mode=True)
        check_source(dataset, TEST_HEADERS)  # an evaluation cannot do without an image
        guard_reading(dataset, cfg.data.get('max_image_pixels'))
        task.prepare_test_data(dataset, runner.model.module.CLASSES)
        loader = build_test_loader(dataset, cfg.data, distributed)
        settings = {**cfg.evaluation, 'record': Recorder(cfg, task) if cfg.evaluation.get('record', True) else None}
        hook = SemiEvalHook(loader, evaluate=task.evaluate, keep=task.keep, **settings)
        runner.register_hook(hook, priority='LOWEST')


def run_seed(seed: int | None) -> int:
    """The given seed, or one drawn by rank 0 and told to the others."""
    _, world_size = get_dist_info()
    device = 'cuda' if world_size > 1 and torch.cuda.is_available() else 'cpu'
    return init_random_seed(seed, device=device)
