"""lr and schedule for another number of images per step, so that as many images are seen as before."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmcv import Config, ConfigDict
from mmcv.runner import HOOKS

from ssod.core import EMA
from ssod.core.errors import InputError

from .settings_check import find

# Policies of lr_config that are a matter of the fraction of the run, or of `step`.
POLICIES = ('step', 'fixed', 'poly', 'cosineannealing', 'flatcosineannealing')
# Settings that count iterations, whatever hooks there are; of hooks see their `iteration_settings`.
COUNTED = (
    'runner.max_iters',
    'lr_config.step',
    'lr_config.warmup_iters',
    'checkpoint_config.interval',
    'evaluation.interval',
    'evaluation.start',
    'data.sampler.decay.iters',
    'data.sampler.decay.max_iters',
)


class Factors(NamedTuple):
    """How a run's batch compares with the one that the config is written for.

    Attributes:
        step: images per step of the optimizer over those of the config.
        iteration: images per iteration over those of a step of the config; ``step`` without accumulation.
    """

    step: float
    iteration: float

    def __str__(self) -> str:
        return f'{self.step:.3g} times the images a step, {1 / self.iteration:.3g} times the iterations'


def is_adaptive(optimizer: str) -> bool:
    """Whether an optimizer divides a gradient by its size, as Adam and its kind do."""
    return optimizer.lower().startswith(('adam', 'nadam', 'radam', 'rmsprop', 'adagrad', 'adadelta', 'adafactor'))


def lr_factor(optimizer: str, factor: float) -> float:
    """Of the learning rate, for ``factor`` times the images a step: linear for SGD, the square root for Adam's kind.

    Linear as in Goyal et al. (arXiv 1706.02677); the root as in Malladi et al. (arXiv 2205.10287).

    Examples:
        >>> lr_factor('SGD', 0.25), lr_factor('AdamW', 0.25)
        (0.25, 0.5)
    """
    return factor**0.5 if is_adaptive(optimizer) else factor


def round_to(value: float, digits: int = 4) -> float:
    """To significant digits: a learning rate that can be read."""
    return float(f'{value:.{digits}g}')


def check_scalable(cfg: Config) -> None:
    """Refuse settings of which nobody knows how they scale.

    Raises:
        InputError: there is one; scale by hand.
    """
    if 'lr' not in cfg.optimizer:
        raise InputError('auto_scale scales optimizer.lr, which the config does not set')
    policy = str(cfg.lr_config.get('policy', '')).lower()
    if policy not in POLICIES:
        raise InputError(
            f'auto_scale knows the lr_config.policy {", ".join(POLICIES)}, not {cfg.lr_config.get("policy")!r}: '
            'set lr and schedule for your batch by hand, and auto_scale=False'
        )
    for place in ('momentum_config', 'evaluation.dynamic_intervals'):
        if find(cfg, place)[0]:
            raise InputError(f'auto_scale does not know how {place} scales: set it by hand, and auto_scale=False')


def scale(cfg: Config, factors: Factors, cumulative_iters: int = 1) -> None:
    """Scale lr, schedule and EMA of a config in place.

    The learning rate follows the images per step, by :func:`lr_factor`. Numbers of iterations are divided by
    ``factors.iteration`` and rounded to whole steps, one at least. The teacher's momentum becomes
    ``momentum ** factors.step``: it looks as many images back as before.

    Args:
        cfg: a config that :func:`check_scalable` lets pass.
        factors: see there.
        cumulative_iters: iterations a step.
    """
    of_lr = lr_factor(cfg.optimizer.type, factors.step)
    cfg.optimizer.lr = round_to(cfg.optimizer.lr * of_lr)
    if 'min_lr' in cfg.lr_config and cfg.lr_config.min_lr:
        cfg.lr_config.min_lr = round_to(cfg.lr_config.min_lr * of_lr)
    for section, key in counted(cfg):
        section[key] = scale_count(section[key], factors.iteration, cumulative_iters)
    for section in momenta(cfg):
        section['momentum'] = section.get('momentum', EMA.momentum) ** factors.step
        if 'warm_up' in section:
            section['warm_up'] = round(section['warm_up'] / factors.step)


def counted(cfg: Config) -> Iterator[tuple[dict, str]]:
    """Section and key of each setting that counts iterations, of those that there are."""
    for place in COUNTED:
        parent, key = place.rsplit('.', 1)
        section, _ = find(cfg, parent)
        if isinstance(section, dict) and section.get(key) is not None:
            yield section, key
    for hook in cfg.get('custom_hooks') or []:
        kind = HOOKS.get(hook['type']) if isinstance(hook['type'], str) else hook['type']
        for key in getattr(kind, 'iteration_settings', ()):
            if key in hook:
                yield hook, key


def scale_count(count: Any, factor: float, cumulative_iters: int) -> Any:
    """A number of iterations, or a list of them, over ``factor``, in whole steps; 0 and -1 (never) stay.

    Examples:
        >>> scale_count(1000, 0.3, 4), scale_count([10, 20], 8, 1), scale_count(0, 2, 1)
        (3332, [1, 2], 0)
    """
    if isinstance(count, (list, tuple)):
        return [scale_count(each, factor, cumulative_iters) for each in count]
    if count <= 0:
        return count
    return max(round(count / factor / cumulative_iters), 1) * cumulative_iters


def momenta(cfg: Config) -> Iterator[dict]:
    """The sections that hold an EMA's momentum: the model's, and of a ``MeanTeacherHook`` that says it instead."""
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook['type'] == 'MeanTeacherHook']
    yield from (hook for hook in hooks if 'momentum' in hook)
    if cfg.model.get('semi_train_cfg') is not None:
        yield cfg.model.semi_train_cfg.setdefault('ema', ConfigDict())
