"""Numbers of a config that are outside of what they can mean: refused before anything is built."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from mmcv import Config

from ssod.core.errors import InputError

from .settings_check import find


class Range(NamedTuple):
    """What a setting may be.

    Attributes:
        kind: int or float; an int is a float too.
        low, high: both included; ``low_open``: ``low`` is not.
        words: the same for a reader.
        besides: values that are taken as well.
    """

    kind: type
    low: float
    high: float
    words: str
    low_open: bool = False
    besides: tuple = ()

    def holds(self, value: Any) -> bool:
        """Whether a value is in the range."""
        if value in self.besides if isinstance(value, (int, float, str, type(None))) else False:
            return True
        numbers = (int,) if self.kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, numbers) or not math.isfinite(value):
            return False
        return self.low <= value <= self.high and not (self.low_open and value == self.low)


COUNT = Range(int, 1, math.inf, 'a whole number, 1 or more')
NATURAL = Range(int, 0, math.inf, 'a whole number, 0 or more')
NOT_NEGATIVE = Range(float, 0, math.inf, 'a number, 0 or more')
SHARE = Range(float, 0, 1, 'a number in [0, 1]')
EVERY = Range(int, 1, math.inf, 'a number of iterations, 1 or more', besides=(-1,))
SEED = Range(int, 0, 2**32 - 1, 'a whole number from 0 to 4294967295', besides=(None,))
RANGES = {
    'data.samples_per_gpu': COUNT,
    'data.workers_per_gpu': NATURAL,
    'data.test_samples_per_gpu': COUNT,
    'data.max_image_pixels': COUNT,
    'data.max_broken_share': SHARE,
    'checkpoint_config.interval': EVERY,
    'checkpoint_config.max_keep_ckpts': COUNT._replace(words='a whole number, 1 or more, or -1 for all', besides=(-1,)),
    'evaluation.interval': COUNT,
    'evaluation.start': NATURAL._replace(besides=(None,)),
    'log_config.interval': COUNT,
    'optimizer.lr': NOT_NEGATIVE,
    'optimizer.weight_decay': NOT_NEGATIVE,
    'optimizer.momentum': SHARE,
    'lr_config.warmup_iters': NATURAL,
    'lr_config.warmup_ratio': SHARE._replace(words='a number above 0, at most 1', low_open=True),
    'lr_config.gamma': NOT_NEGATIVE,
    'lr_config.min_lr': NOT_NEGATIVE._replace(besides=(None,)),
    'pseudo_score_thr': SHARE,
    'rank_timeout': NOT_NEGATIVE._replace(words='a number of seconds above 0', low_open=True),
    'seed': SEED,
}
# Wherever in the model they stand.
OF_THE_MODEL = dict.fromkeys(('score_thr', 'iou_threshold', 'pos_iou_thr', 'min_pos_iou'), SHARE)
OF_HOOKS = {'burn_in': NATURAL, 'ramp': NATURAL, 'interval': COUNT}


def check_no_nan(cfg: Config) -> None:
    """Refuse a number that is none, wherever it stands: no comparison with it holds, so no range would find it.

    Raises:
        InputError: there is one.
    """
    for place, value in leaves(cfg._cfg_dict):
        if isinstance(value, float) and math.isnan(value):
            raise InputError(f'{place} is {value}, which is no number: set a finite one')


def check_ranges(cfg: Config) -> None:
    """Refuse settings of a training that are outside of their ranges.

    Raises:
        InputError: the first; it names the setting, its value and the range.
    """
    for place, allowed in RANGES.items():
        value, there = find(cfg, place)
        if there:
            check(place, value, allowed)
    for place, value in leaves(cfg.get('model', {}), 'model'):
        if known := OF_THE_MODEL.get(place.split('.')[-1]):
            check(place, value, known)
    for number, hook in enumerate(cfg.get('custom_hooks') or []):
        for key, allowed in OF_HOOKS.items():
            if key in hook:
                check(f'custom_hooks.{number}.{key}', hook[key], allowed)
    check_steps(cfg.get('lr_config') or {})


def check(place: str, value: Any, allowed: Range) -> None:
    """Refuse a value outside of its range."""
    if not allowed.holds(value):
        raise InputError(f'{place} is {allowed.words}, got {value!r}')


def check_steps(lr_config: dict) -> None:
    """Refuse steps of the learning rate that are no rising numbers of iterations; mmcv would take the wrong one."""
    steps = lr_config.get('step')
    if steps is None:
        return
    listed = steps if isinstance(steps, (list, tuple)) else [steps]
    if not all(COUNT.holds(step) for step in listed) or list(listed) != sorted(set(listed)):
        raise InputError(f'lr_config.step is one or several rising numbers of iterations, got {steps!r}')


def leaves(settings: Any, place: str = '') -> Iterator[tuple[str, Any]]:
    """Each setting that holds no others, and its place."""
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from leaves(value, f'{place}.{key}' if place else str(key))
    elif isinstance(settings, (list, tuple)):
        for index, value in enumerate(settings):
            yield from leaves(value, f'{place}.{index}')
    else:
        yield place, settings
