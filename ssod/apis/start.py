"""What a training starts from, and whose work dir it may write to."""

import copy
import re
from logging import Logger
from pathlib import Path
from typing import Any, NamedTuple

from mmcv import Config
from mmcv.runner import IterBasedRunner
from mmdet.utils import get_root_logger
from torch import nn

from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError, reading_checkpoint

from .facts import differences
from .runner import LATEST
from .weights import read_checkpoint


class Start(NamedTuple):
    """Where a training's weights come from.

    Attributes:
        path: of a checkpoint; None: the model is initialized as its config says.
        resume: the run that wrote it goes on, optimizer and iteration included.
    """

    path: str | None = None
    resume: bool = False


def start_of(cfg: Config) -> Start:
    """The start that ``resume_from``, ``auto_resume`` or ``load_from`` of a config asks for, in this order.

    Raises:
        InputError: ``auto_resume`` finds checkpoints, and all are damaged.
    """
    path = cfg.get('resume_from')
    if path is None and cfg.get('auto_resume'):
        path = latest_whole(cfg, get_root_logger())
    return Start(path, True) if path else Start(cfg.get('load_from'))


def latest_whole(cfg: Config, logger: Logger) -> str | None:
    """The newest checkpoint of the work dir that is not damaged, None if there is none at all.

    The newest is the one that ``latest.pth`` names, for an older run may have left some of later iterations. Each that
    is damaged is named in a warning, and the one before it is tried.

    Raises:
        InputError: all are damaged.
    """
    paths = candidates(cfg)
    for path in paths:
        try:
            load_file(path)
        except InputError as error:
            logger.warning(f'--auto-resume: {error}; trying the one before it')
            continue
        return str(path)
    if paths:
        raise InputError(
            f'--auto-resume: every checkpoint in {cfg.work_dir} is damaged, {paths[0]} the newest: '
            'remove them, and the run starts anew'
        )
    return None


def candidates(cfg: Config) -> list[Path]:
    """What ``auto_resume`` may continue from: what ``latest.pth`` names, and those of iterations before; newest first.

    Without ``latest.pth``, or if the file that it names is gone, all that are there.
    """
    by_iteration = own_checkpoints(cfg)
    latest = Path(cfg.work_dir, LATEST)
    if not latest.exists():
        return [by_iteration[number] for number in sorted(by_iteration, reverse=True)]
    target = latest.resolve()
    newest = next((number for number, path in by_iteration.items() if path.resolve() == target), None)
    before = [number for number in by_iteration if newest is None or number < newest]
    return [latest, *(by_iteration[number] for number in sorted(before, reverse=True))]


def own_checkpoints(cfg: Config) -> dict[int, Path]:
    """The checkpoints that a run of this config leaves in its work dir, by iteration; other files are not looked at."""
    templates = {'iter_{}.pth', cfg.get('checkpoint_config', {}).get('filename_tmpl', 'iter_{}.pth')}
    pattern = re.compile('|'.join(re.escape(template).replace(r'\{\}', r'(\d+)') for template in sorted(templates)))
    found = {}
    for path in Path(cfg.work_dir).glob('*.pth'):
        if match := pattern.fullmatch(path.name):
            found[int(next(filter(None, match.groups())))] = path
    return found


def check_work_dir(cfg: Config, start: Start) -> None:
    """Refuse a run that would write over the checkpoints of another.

    Raises:
        InputError: the work dir has checkpoints, and the run does not continue from one of them.
    """
    found = own_checkpoints(cfg)
    own = Path(start.path).absolute().parent.resolve() if start.path and start.resume else None
    if not found or own == Path(cfg.work_dir).resolve():
        return
    raise InputError(
        f'{cfg.work_dir} holds the checkpoints of another run, {found[max(found)].name} the last: '
        'continue it with --auto-resume, or give another --work-dir'
    )


def seed_of(start: Start) -> int | None:
    """The seed of the run that goes on, None if none does: another one would make another run of it."""
    return load_file(start.path).get('meta', {}).get('seed') if start.resume and start.path else None


def restore(runner: IterBasedRunner, start: Start, num_classes: int | None = None) -> None:
    """Continue from a checkpoint, everything included, or start from one's weights.

    Args:
        runner: before its run; ``meta['facts']`` are compared with those of the checkpoint.
        start: from :func:`start_of`.
        num_classes: classes that the model tells apart, None if there is no single number.

    Raises:
        InputError: the checkpoint cannot be read or does not fit the model.
    """
    if start.path is None:
        return
    model = runner.model.module
    loaded = read_checkpoint(model, start.path, num_classes, other_classes=not start.resume)
    if start.resume:
        check_classes(model, loaded, start.path)
        with reading_checkpoint(start.path):
            resume(runner, loaded, start.path)


def check_classes(model: nn.Module, loaded: dict[str, Any], path: str) -> None:
    """Refuse to continue with other classes than the run had, or in another order: its labels would change meaning."""
    before = loaded.get('meta', {}).get('CLASSES')
    now = getattr(model, 'CLASSES', None)
    if before is not None and now is not None and list(before) != list(now):
        raise InputError(
            f'{path} was trained for the classes {list(before)}, the data have {list(now)}: mend `classes`'
        )


def resume(runner: IterBasedRunner, loaded: dict[str, Any], path: str) -> None:
    """Take up iteration, optimizer, best score and loss scale of a checkpoint."""
    meta = loaded.get('meta', {})
    if not isinstance(meta.get('iter'), int):
        raise InputError(f'{path} does not say its iteration, so no run can continue from it: give it as load_from')
    # Saved after an iteration and before mmcv counts it: the run would repeat that iteration.
    runner._epoch, runner._iter, runner._inner_iter = meta.get('epoch', 0), meta['iter'] + 1, meta['iter'] + 1
    if 'optimizer' in loaded:
        runner.optimizer.load_state_dict(loaded['optimizer'])
    else:
        runner.logger.warning(
            f'{path} holds no state of the optimizer (checkpoint_config.save_optimizer=False): its '
            'averages start anew, and the run will differ from one that was not stopped'
        )
    for change in differences(meta.get('facts', {}), runner.meta.get('facts', {})):
        runner.logger.warning(f'{path}: {change}; the run will differ from one that was not stopped')
    # mmcv's IterBasedRunner forgets the best score and the loss scale.
    runner.meta.update({key: copy.deepcopy(meta[key]) for key in ('hook_msgs', 'fp16') if key in meta})
    runner.logger.info(f'resumed from {path}, iter {runner.iter}')
