"""How many images fit the memory of a GPU, found by training steps at the largest size."""

import copy
import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmcv import Config
from mmcv.runner import build_optimizer
from mmdet.utils import get_root_logger
from torch.utils.data import Dataset

from ssod.core.errors import InputError, building
from ssod.data import SemiDataset, collate_branches, collate_views
from ssod.hooks import AmpOptimizerHook, build_optimizer_hook
from ssod.hooks.amp import follow_fp16

from .recipe import base_images
from .start import start_of
from .train import build_model, build_train_dataset, parallelize, prepare, trained_part

MEMORY = 0.9  # of the device's, that a step may take
MOST = 1024  # images tried where `base_batch` does not say how many are wanted

Fits = Callable[[int, int], bool]


def find_batch(cfg: Config, fits: Fits | None = None) -> int:
    """The most images of a batch, labeled and unlabeled at the config's ratio, whose training step fits the memory.

    Every process looks for itself, on its own GPU, before it joins the others. More images than ``base_batch`` has are
    not tried.

    Args:
        cfg: from :func:`load_config`; it stays as it is.
        fits: (labeled, unlabeled) -> whether a step of so many images fits; None: :class:`StepProbe`.

    Raises:
        InputError: there is no GPU, or the smallest batch does not fit.
    """
    if fits is None:
        if not torch.cuda.is_available():
            raise InputError(
                '--auto-batch looks for what fits the memory of a GPU, and there is none: on a CPU take '
                'data.samples_per_gpu=4 for 2 labeled and 2 unlabeled images, or the number that you want'
            )
        torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', 0)))
        fits = StepProbe(cfg)
    unit, least = batch_unit(cfg)
    base = base_images(cfg)
    most = max(MOST if base is None else math.ceil(sum(base) / unit) * unit, least)
    found = unit * largest(lambda units: fits(*composition(cfg, unit * units)), least // unit, most // unit)
    if found < least:
        raise InputError(
            f'--auto-batch: not even {least} images of the largest size fit: lower train_scale, say '
            "fp16=dict(loss_scale='dynamic'), or take a smaller backbone"
        )
    return found


def largest(fits: Callable[[int], bool], least: int, most: int) -> int:
    """The largest number in ``least`` ... ``most`` that fits, 0 if none does; all below one that fits do.

    Examples:
        >>> tried = []
        >>> largest(lambda n: tried.append(n) or n <= 11, 1, 100), tried
        (11, [1, 2, 4, 8, 16, 12, 10, 11])
    """
    good, bad = 0, least
    while good < most and bad > good and fits(bad):
        good, bad = bad, min(bad * 2, most)
    while bad - good > 1 and good:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def batch_unit(cfg: Config) -> tuple[int, int]:
    """Step and smallest of the batches to try: those with the exact ratio, or any that hold both sources."""
    if cfg.data.train.type != 'SemiDataset':
        return 1, 1
    sampler = cfg.data.get('sampler', {})
    if not sampler.get('by_prob', True):
        unit = sum(int(share) for share in sampler['ratio'])
        return unit, unit
    return 1, 2 if sampler.get('at_least_one', True) else 1


def composition(cfg: Config, images: int) -> tuple[int, int]:
    """Labeled and unlabeled images of a batch; of one that is drawn by probability the largest: one is labeled.

    An unlabeled image is the dearer one: the teacher looks at it, too.
    """
    if cfg.data.train.type != 'SemiDataset':
        return images, 0
    sampler = cfg.data.get('sampler', {})
    if sampler.get('by_prob', True):
        labeled = min(images - 1, 1)
    else:
        labeled = images * int(sampler['ratio'][0]) // sum(int(share) for share in sampler['ratio'])
    return labeled, images - labeled


def set_batch(cfg: Config, fitting: int, processes: int) -> str:
    """Set the batch to what fits, and the accumulation so that a step has the images of ``base_batch``.

    Args:
        cfg: changed in place: ``data.samples_per_gpu``, ``optimizer_config.cumulative_iters``.
        fitting: images that fit every process's memory, of :func:`find_batch`.
        processes: that train together.

    Returns:
        A line that says so.
    """
    base, (unit, least) = base_images(cfg), batch_unit(cfg)
    text = f'auto_batch: {fitting} images of the largest size fit ({MEMORY:.0%} of the memory)'
    if base is None:
        cfg.data.samples_per_gpu = fitting
        return f'{text}: data.samples_per_gpu={fitting}'
    wanted = sum(base) / processes
    passes = max(math.ceil(wanted / fitting - 0.01), 1)
    samples = min(max(round(wanted / passes / unit) * unit, least), fitting)
    cfg.data.samples_per_gpu = samples
    cfg.optimizer_config = {**(cfg.get('optimizer_config') or {}), 'cumulative_iters': passes}
    return f'{text}: data.samples_per_gpu={samples}, optimizer_config.cumulative_iters={passes}'


class StepProbe:
    """Runs training steps of a config as its training does, on its own images at their largest size.

    The views are the largest of a sample of the images, so every batch is a full one. The teacher is not trained yet
    and finds hardly a box; the jittered copies of those that it finds later (50 MB an image for ResNet-50) have room
    in the part of the memory that is left free.

    Args:
        cfg: from :func:`load_config`; it stays as it is.
    """

    def __init__(self, cfg: Config) -> None:
        cfg = copy.deepcopy(cfg)
        at_largest_scale(cfg.data.train)
        dataset = build_train_dataset(cfg)
        self.samples = [largest_view(dataset, indices) for indices in indices_of(dataset)]
        collate = collate_branches if isinstance(dataset, SemiDataset) else collate_views
        self.collate = partial(collate, buckets=cfg.data.get('size_buckets', ()))
        model = build_model(cfg, dataset, start_of(cfg))
        prepare(cfg, model)
        self.model = parallelize(model.train(), distributed=False)
        with building('optimizer'):
            self.optimizer = build_optimizer(trained_part(model), {**cfg.optimizer, 'lr': 0.0})
            hook = build_optimizer_hook(None, cfg.get('fp16'))
        if isinstance(hook, AmpOptimizerHook):
            follow_fp16(self.model, hook.dtype, '--auto-batch tries', get_root_logger().info)

    def __call__(self, labeled: int, unlabeled: int) -> bool:
        """Whether two steps of so many images take no more than ``MEMORY`` of the device's memory."""
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            for _ in range(2):  # the second has the optimizer's state
                self.step(labeled, unlabeled)
        except torch.cuda.OutOfMemoryError:
            return False
        finally:
            self.optimizer.zero_grad()
        device = torch.cuda.get_device_properties(torch.cuda.current_device())
        taken = torch.cuda.max_memory_reserved() / device.total_memory
        get_root_logger().info(f'auto_batch: {labeled} labeled + {unlabeled} unlabeled images take {taken:.0%}')
        return taken <= MEMORY

    def step(self, labeled: int, unlabeled: int) -> None:
        """Forward and backward pass, and the optimizer's step."""
        counts = (labeled, unlabeled)[: len(self.samples)]
        batch = self.collate([sample for sample, count in zip(self.samples, counts, strict=True) for _ in range(count)])
        self.model.train_step(batch, self.optimizer)['loss'].backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def at_largest_scale(section: Any) -> None:
    """Leave only the largest of several ``img_scale`` in the settings of a data set, in place."""
    if isinstance(section, dict):
        scales = section.get('img_scale')
        if isinstance(scales, list) and scales and isinstance(scales[0], (list, tuple)):
            section['img_scale'] = [max(scales, key=math.prod)]
        section = list(section.values())
    if isinstance(section, (list, tuple)):
        for item in section:
            at_largest_scale(item)


def indices_of(dataset: Dataset) -> list[range]:
    """The indices of each source of a training set."""
    if not isinstance(dataset, SemiDataset):
        return [range(len(dataset))]
    end = len(dataset.sources['labeled'])
    return [range(end), range(end, len(dataset))]


def largest_view(dataset: Dataset, indices: range, looked_at: int = 16) -> dict:
    """The sample with the largest view of some of the images, spread over ``indices``."""
    chosen = np.unique(np.linspace(indices[0], indices[-1], looked_at).astype(int))
    return max((dataset[int(index)] for index in chosen), key=area)


def area(sample: dict) -> int:
    """Pixels of a sample's largest view, with its padding."""
    views = [sample] if 'img_metas' in sample else sample.values()
    return max(math.prod(view['img_metas'].data['pad_shape'][:2]) for view in views)
