"""Weights from files: a checkpoint that fits or is refused, and what a model is initialized with."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger
from typing import Any, NamedTuple

from mmdet.utils import get_root_logger
from torch import Tensor, nn

from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError, reading_checkpoint
from ssod.pretrained import find_weights, published

from .checks import check_checkpoint_classes


def read_checkpoint(
    model: nn.Module, checkpoint: str, num_classes: int | None = None, other_classes: bool = False
) -> dict[str, Any]:
    """Load a checkpoint's weights into ``model``, all that it has, and return the checkpoint.

    Weights that the model does not know are named in the log.

    Args:
        model: a ``TeacherStudent`` or a plain detector.
        checkpoint: a path, a URL, or a name such as ``open-mmlab://...``.
        num_classes: classes that the model tells apart, None if there is no single number.
        other_classes: take one for another number of classes too: the last layers of the heads, whose outputs are
            classes, stay as they are, and the log says so.

    Raises:
        InputError: no such file, not a checkpoint, one for another number of classes, or one that lacks weights or has
            them in other shapes.
    """
    loaded = load_file(find_weights(checkpoint) if published(checkpoint) else checkpoint)
    weights = loaded.get('state_dict', loaded)
    if not isinstance(weights, dict) or not any(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f'{checkpoint} holds no weights')
    classes = loaded.get('meta', {}).get('CLASSES')
    if not other_classes:
        check_checkpoint_classes(num_classes, classes, checkpoint)
    if all(name.startswith('module.') for name in weights):  # saved from within DDP
        weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    refusal = f'{checkpoint} does not fit the {type(model).__name__} of the config: '
    with reading_checkpoint(checkpoint):
        left: list[str] = []
        reshaped = load(model, weights)
        are_others = other_classes and (classes is None or len(classes) != num_classes)
        if reshaped and are_others and all(map(is_of_classes, reshaped)):
            left = [name for name, *_ in reshaped]
            own = {name.removeprefix(half) for name in left for half in ('', 'student.', 'teacher.')}
            weights = {name: value for name, value in weights.items() if name not in own}
            get_root_logger().warning(
                f'{checkpoint} is of other classes: {len(left)} weights begin anew, {left[0]} first'
            )
        elif reshaped:
            raise InputError(
                f'{refusal}{len(reshaped)} weights have another shape, the first: {reshaped[0].name} is '
                f'{reshaped[0].theirs}, not {reshaped[0].own}'
            )
        missing, unexpected = model.load_state_dict(weights, strict=False)
    # Counters of BatchNorm, which older versions of torch did not have.
    missing = [name for name in missing if not name.endswith('num_batches_tracked') and name not in left]
    if missing:
        parts = ', '.join(sorted({name.split('.')[0] for name in weights}))
        raise InputError(f'{refusal}it lacks {len(missing)} weights, the first {missing[0]}; it holds {parts}')
    if unexpected:
        get_root_logger().warning(f'{checkpoint}: {len(unexpected)} weights are not used, the first {unexpected[0]}')
    return loaded


class Reshaped(NamedTuple):
    """A weight that a checkpoint has in another shape than the model."""

    name: str
    theirs: tuple[int, ...]
    own: tuple[int, ...]


def load(model: nn.Module, weights: dict[str, Tensor]) -> list[Reshaped]:
    """Load what fits; the weights of other shapes are left and returned."""
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        pattern = r'size mismatch for (\S+): .*?Size\(\[(.*?)\]\).*?Size\(\[(.*?)\]\)'
        found = re.findall(pattern, str(error))
        if not found:
            raise
        return [Reshaped(name, shape_of(theirs), shape_of(own)) for name, theirs, own in found]
    return []


def shape_of(text: str) -> tuple[int, ...]:
    """(4, 16) of '4, 16'."""
    return tuple(int(size) for size in text.split(',') if size.strip())


def is_of_classes(weight: Reshaped) -> bool:
    """Whether a weight is of a head's last layer, and has another number of outputs, but not of inputs."""
    if 'head' not in weight.name or 'rpn' in weight.name:  # which knows no classes
        return False
    return len(weight.theirs) == len(weight.own) and weight.theirs[1:] == weight.own[1:]


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
                load_file(path)
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
        if '://' not in checkpoint:
            load_file(checkpoint)  # mmcv's own reading of it is not checked
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
