"""Weights from files: a checkpoint that fits or is refused, and what a training starts from."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger

from mmcv import Config
from mmcv.runner import CheckpointLoader, IterBasedRunner
from mmdet.utils import find_latest_checkpoint, get_root_logger
from torch import nn

from ssod.core.errors import InputError, reading_checkpoint
from ssod.pretrained import find_weights, published

from .checks import check_checkpoint_classes


def read_checkpoint(model: nn.Module, checkpoint: str, num_classes: int | None = None) -> dict:
    """Load a checkpoint's weights into ``model``, all that it has, and return the checkpoint.

    Weights that the model does not know are named in the log.

    Args:
        num_classes: classes that the model tells apart, None if there is no single number.

    Raises:
        InputError: no such file, not a checkpoint, one for another number of classes, or one that lacks weights or has
            them in other shapes.
    """
    with reading_checkpoint(checkpoint):
        loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
        weights = loaded.get('state_dict', loaded)
        if not weights:
            raise InputError(f'{checkpoint} holds no weights')
        check_checkpoint_classes(num_classes, loaded.get('meta', {}).get('CLASSES'), checkpoint)
        if all(name.startswith('module.') for name in weights):  # saved from within DDP
            weights = {name.removeprefix('module.'): value for name, value in weights.items()}
        parts = ', '.join(sorted({name.split('.')[0] for name in weights}))
        refusal = f'{checkpoint} does not fit the {type(model).__name__} of the config: '
        try:
            missing, unexpected = model.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines() if 'size mismatch' in line]
            if not lines:
                raise
            raise InputError(f'{refusal}{len(lines)} weights have another shape, the first: {lines[0]}') from error
    # Counters of BatchNorm, which older versions of torch did not have.
    missing = [name for name in missing if not name.endswith('num_batches_tracked')]
    if missing:
        raise InputError(f'{refusal}it lacks {len(missing)} weights, the first {missing[0]}; it holds {parts}')
    if unexpected:
        get_root_logger().warning(f'{checkpoint}: {len(unexpected)} weights are not used, the first {unexpected[0]}')
    return loaded


def start_of(cfg: Config) -> tuple[str | None, bool]:
    """The checkpoint that a training starts from, None for none, and whether it resumes that run."""
    resume_from = cfg.get('resume_from')
    if resume_from is None and cfg.get('auto_resume'):
        resume_from = find_latest_checkpoint(cfg.work_dir)
    return resume_from or cfg.get('load_from'), bool(resume_from)


def restore(runner: IterBasedRunner, cfg: Config) -> None:
    """Continue from a checkpoint, everything included, or start from one's weights.

    Raises:
        InputError: the checkpoint cannot be read.
    """
    path, resume = start_of(cfg)
    if path is None:
        return
    with reading_checkpoint(path):
        if not resume:
            runner.load_checkpoint(path, map_location='cpu')
            return
        runner.resume(path, map_location='cpu')
        # Saved after an iteration and before mmcv counts it: the run would repeat that iteration.
        runner._iter += 1
        runner._inner_iter += 1
        # mmcv's IterBasedRunner forgets the best score and the loss scale.
        meta = CheckpointLoader.load_checkpoint(path, map_location='cpu')['meta']
    runner.meta.update({key: copy.deepcopy(meta[key]) for key in ('hook_msgs', 'fp16') if key in meta})


def initialize(model: nn.Module, start: str | None, logger: Logger) -> None:
    """Initialize a model's weights as its config says, pretrained ones included.

    Args:
        model: a ``TeacherStudent`` or a plain detector.
        start: the checkpoint whose weights the model is given afterwards, None for none. With it, pretrained weights
            whose file is not reachable are left to it: mmcv would stop there and leave all later parts, the heads
            above all, as torch makes them.
        logger: told what was left.

    Raises:
        InputError: pretrained weights cannot be loaded.
    """
    if start is not None:
        for name in drop_unreachable(model):
            logger.info(f'pretrained weights {name} are not reachable: they are left to {start}')
    try:
        with local_weights(model):
            model.init_weights()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:  # the last two: a misspelt setting
        raise InputError(
            f'cannot load the pretrained weights of the backbone: {error}. A file of your own goes into '
            'model.detector.backbone.init_cfg.checkpoint (a baseline: model.backbone...); init_cfg=None trains from '
            'scratch'
        ) from error


def drop_unreachable(model: nn.Module) -> list[str]:
    """Take pretrained weights whose file cannot be loaded out of the modules' ``init_cfg``; returns the files."""
    lost = []
    for module in pretrained_modules(model, 'Pretrained', 'PretrainedBackbone'):
        checkpoint, ours = module.init_cfg['checkpoint'], module.init_cfg['type'] == 'PretrainedBackbone'
        try:
            path = find_weights(checkpoint) if ours or published(checkpoint) else checkpoint
            if not ours:
                CheckpointLoader.load_checkpoint(path, map_location='cpu')
        except Exception:  # what a server or a broken file raises is not fixed
            lost.append(checkpoint)
            module.init_cfg = None
    return list(dict.fromkeys(lost))


@contextmanager
def local_weights(model: nn.Module) -> Iterator[None]:
    """Within the block, mmcv's ``Pretrained`` finds published files as :func:`ssod.pretrained.find_weights` does.

    By itself it knows torch hub's cache alone. Afterwards the modules' ``init_cfg`` are as they were.

    Raises:
        InputError: a file is not found and cannot be downloaded, or is damaged.
    """
    settings = {module: module.init_cfg for module in pretrained_modules(model, 'Pretrained')}
    try:
        for module, own in settings.items():
            module.init_cfg = located(own)
        yield
    finally:
        for module, own in settings.items():
            module.init_cfg = own


def located(settings: dict) -> dict:
    """An ``init_cfg`` of mmcv's ``Pretrained`` with the local file of a published checkpoint."""
    checkpoint = settings['checkpoint']
    if not published(checkpoint):
        return settings
    # mmcls: a classifier, of which mmcv's own loader takes the backbone.
    prefix = dict(prefix='backbone.') if checkpoint.startswith('mmcls://') else {}
    return {**settings, 'checkpoint': find_weights(checkpoint), **prefix}


def pretrained_modules(model: nn.Module, *types: str) -> Iterator[nn.Module]:
    """The modules whose ``init_cfg`` is one of ``types``; of a teacher and its student the student's.

    ``init_weights`` copies the student to the teacher.
    """
    for module in getattr(model, 'student', model).modules():
        settings = getattr(module, 'init_cfg', None)
        if isinstance(settings, dict) and settings.get('type') in types and 'checkpoint' in settings:
            yield module
