"""How many images of each source a step of the optimizer sees, what that asks of lr and schedule, and saying so."""

import logging
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from mmcv import Config
from torch.utils.data import Dataset

from ssod.core import EMA
from ssod.core.errors import InputError, building
from ssod.data import SemiDataset
from ssod.data.sampler import mean_counts

from .checks import check_train_config
from .scaling import Factors, check_scalable, scale
from .schedule_check import check_schedule, cumulative_iters

# Batches that differ by less are the same: a share that is drawn by probability is no round number.
SAME = 0.01
EMA_KEYS = {field.name for field in fields(EMA)}


class Images(NamedTuple):
    """Mean numbers of images."""

    labeled: float
    unlabeled: float

    def __str__(self) -> str:
        return f'{self.labeled:.3g} labeled' + (f' + {self.unlabeled:.3g} unlabeled' if self.unlabeled else '')

    def times(self, factor: float) -> 'Images':
        """So many times as many."""
        return Images(self.labeled * factor, self.unlabeled * factor)


def images_per_iteration(cfg: Config, processes: int) -> Images:
    """Mean images of one iteration of all processes, as the sampler draws them; see :func:`mean_counts`."""
    batch = cfg.data.samples_per_gpu
    if cfg.data.train.type != 'SemiDataset':
        return Images(batch, 0.0).times(processes)
    settings = {key: value for key, value in cfg.data.get('sampler', {}).items() if key != 'decay'}
    with building('data'):
        return Images(*mean_counts(batch, **settings)).times(processes)


def base_images(cfg: Config) -> Images | None:
    """``base_batch``: the images of a step that lr and schedule of the config are written for; None: it does not say.

    Raises:
        InputError: it has other keys than ``labeled`` and ``unlabeled``, or a number that is not above 0.
    """
    base = cfg.get('base_batch')
    if base is None:
        return None
    wanted = {'labeled', 'unlabeled'} if cfg.data.train.type == 'SemiDataset' else {'labeled'}
    numbers = [value for value in base.values() if isinstance(value, (int, float)) and value > 0]
    if base.keys() != wanted or len(numbers) < len(wanted):
        keys = ', '.join(f'{name}=...' for name in sorted(wanted))
        raise InputError(f'base_batch is dict({keys}), the images of a step, each above 0; got {dict(base)}')
    return Images(base['labeled'], base.get('unlabeled', 0.0))


def factors_of(cfg: Config, base: Images, processes: int) -> Factors:
    """This run's labeled images over those of ``base``: of a step, and of an iteration.

    The labeled images decide: lr and schedule are about passes over them. Another ratio of the sources changes how
    many unlabeled images are seen, not how long is trained.
    """
    share = images_per_iteration(cfg, processes).labeled / base.labeled
    step = share * cumulative_iters(cfg)
    return Factors(*(1.0 if abs(value - 1) < SAME else value for value in (step, share)))


def settle(cfg: Config, processes: int) -> tuple[int, str] | None:
    """Check a config and make of it, in place, what is trained: :func:`adapt`, and checks before and after.

    Returns:
        As :func:`adapt`.

    Raises:
        InputError: the config, its files or its schedule are unusable.
    """
    check_train_config(cfg)
    said = adapt(cfg, processes)
    check_schedule(cfg)
    return said


def adapt(cfg: Config, processes: int) -> tuple[int, str] | None:
    """Scale lr and schedule in place if ``auto_scale`` asks for it; else say where they are for another batch.

    Afterwards the config says what is effective and asks for no more: who trains from a recorded config scales nothing
    twice.

    Returns:
        The level of ``logging`` and a sentence, for the log; None if there is nothing to say.

    Raises:
        InputError: ``auto_scale`` without ``base_batch``, or a setting that cannot be scaled.
    """
    base = base_images(cfg)
    asked = cfg.get('auto_scale', False)
    if not isinstance(asked, bool):
        raise InputError(f'auto_scale is True or False, got {asked}: the batch that lr is for is base_batch')
    if base is None:
        if asked:
            raise InputError(
                'auto_scale needs to know what lr and schedule are for: set base_batch=dict(labeled=..., '
                'unlabeled=...), the images of a step'
            )
        return None
    factors = factors_of(cfg, base, processes)
    own = images_per_iteration(cfg, processes).times(cumulative_iters(cfg))
    if asked:
        check_scalable(cfg)
        scale(cfg, factors, cumulative_iters(cfg))
        cfg.base_batch = dict(labeled=own.labeled, **(dict(unlabeled=own.unlabeled) if own.unlabeled else {}))
        cfg.auto_scale = False
        return logging.INFO, f'auto_scale: {about(base, own)}: {factors}'
    text = f'lr and schedule are {about(base, own)}'
    if factors != Factors(1.0, 1.0):
        command = f'`ssod train {cfg.filename} --auto-scale`, or auto_scale=True in the config,'
        return logging.WARNING, f'{text}: {command} scales them ({factors})'
    return (logging.INFO, text) if other_ratio(base, own) else None


def other_ratio(base: Images, own: Images) -> bool:
    """Whether the unlabeled images per labeled one differ."""
    return abs(own.unlabeled * base.labeled - base.unlabeled * own.labeled) > SAME * base.unlabeled * own.labeled


def about(base: Images, own: Images) -> str:
    """Both batches; and that their ratios differ, if they do."""
    text = f'for steps of {base} images, this run has {own}'
    if other_ratio(base, own):
        change = own.unlabeled * base.labeled / (own.labeled * base.unlabeled)
        text += f' (x {change:.3g} unlabeled images for each labeled one; the labeled ones decide)'
    return text


def effective(cfg: Config, dataset: Dataset, processes: int) -> str:
    """One line: what a step sees, and how long and how fast is trained."""
    step, iters = cumulative_iters(cfg), cfg.runner.max_iters
    own = images_per_iteration(cfg, processes)
    parts = [
        f'{own.times(step)} images per step ({processes} process{"es" * (processes > 1)} x {cfg.data.samples_per_gpu} '
        f'images x {step} iteration{"s" * (step > 1)})',
        f'{cfg.optimizer.type} lr {cfg.optimizer.get("lr", "its default")}',
        f'{iters} iterations' + (f' = {-(-iters // step)} steps' if step > 1 else ''),
        epochs(own, iters, dataset),
    ]
    hooks = {hook['type']: hook for hook in cfg.get('custom_hooks') or []}
    if burn_in := hooks.get('UnsupWeightHook'):
        parts.append(f'burn-in {burn_in["burn_in"]} iterations + {burn_in.get("ramp", 0)} to the full weight')
    if 'semi_train_cfg' in cfg.model:
        of_hook = {key: value for key, value in hooks.get('MeanTeacherHook', {}).items() if key in EMA_KEYS}
        parts.append(time_constant(EMA(**{**(cfg.model.semi_train_cfg or {}).get('ema', {}), **of_hook})))
    return 'effective: ' + ', '.join(parts)


def epochs(own: Images, iters: int, dataset: Dataset) -> str:
    """How often each source is walked through."""
    if not isinstance(dataset, SemiDataset):
        return f'{own.labeled * iters / len(dataset):.1f} epochs over {len(dataset)} labeled images'
    sizes = [len(source) for source in dataset.sources.values()]
    passes = np.array(own) * iters / sizes
    return f'{passes[0]:.1f} epochs over {sizes[0]} labeled and {passes[1]:.1f} over {sizes[1]} unlabeled images'


def time_constant(ema: EMA) -> str:
    """The teacher's memory, in steps: what the student was that long ago still counts by 1 / e."""
    if ema.momentum == 1:
        return 'EMA 1: the teacher stays'
    return f'EMA {ema.momentum:.5g}: {ema.interval / (1 - ema.momentum):.0f} steps'
