"""Distribution-specific batch normalization: statistics of their own for weakly and for strongly augmented images.

Simple Baseline (Yuan et al., ICCV 2021). A strong view has other means and variances than the images of a test; where
both go through one BatchNorm, its running statistics fit neither.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class DSBN(nn.Module):
    """Two BatchNorms of one place: the first images of a batch go through ``main_bn``, the others through ``aux_bn``.

    How many are the first is said for each forward pass, by :func:`weak_images`. Outside of it, and in eval mode, all
    images go through ``main_bn``, that of the weak views. A checkpoint of a plain BatchNorm fills both.

    Args:
        norm: the layer that was here; it becomes ``main_bn``, a copy of it ``aux_bn``.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.main_bn = norm
        self.aux_bn = copy.deepcopy(norm)
        self.weak: int | None = None
        self.training = norm.training

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, ...); images stay in their order.

        Raises:
            ValueError: fewer images than were called weak, or a part that holds one value per channel.
        """
        if self.weak is None or not self.training:
            return self.main_bn(x)
        if self.weak > len(x):
            raise ValueError(f'DSBN: {self.weak} weak images were announced, the batch has {len(x)}')
        if self.weak in (0, len(x)) and waits_for_others(self.main_bn):
            raise ValueError('DSBN: with SyncBN every process needs weak and strong images, or the others would wait')
        parts = [(self.main_bn, x[: self.weak]), (self.aux_bn, x[self.weak :])]
        return torch.cat([normalize(norm, images) for norm, images in parts if len(images)])

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Fill both from a plain layer's weights."""
        for name in self.main_bn.state_dict():
            if prefix + name in state_dict:
                value = state_dict.pop(prefix + name)
                state_dict.setdefault(f'{prefix}main_bn.{name}', value)
                state_dict.setdefault(f'{prefix}aux_bn.{name}', value)
        super()._load_from_state_dict(state_dict, prefix, *args)


def waits_for_others(norm: _BatchNorm) -> bool:
    """Whether a layer computes its statistics together with other processes."""
    together = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return isinstance(norm, nn.SyncBatchNorm) and together


def normalize(norm: _BatchNorm, images: Tensor) -> Tensor:
    """One part of a batch through its BatchNorm.

    Raises:
        ValueError: it would compute the variance of one value.
    """
    alone = images.numel() == images.shape[1] and not isinstance(norm, nn.SyncBatchNorm)
    if norm.training and alone:
        raise ValueError(
            'DSBN: BatchNorm cannot be trained on one value per channel, and a part of the batch is an image with '
            'a map of one pixel: give each process 2 weak and 2 strong images or more, or use SyncBN'
        )
    return norm(images)


def convert(module: nn.Module) -> nn.Module:
    """Make every BatchNorm a :class:`DSBN`, in place; layers that are one stay.

    Args:
        module: with its weights; both halves start from them.

    Returns:
        The same module; of a BatchNorm itself, its ``DSBN``.

    Examples:
        >>> list(convert(nn.Sequential(nn.BatchNorm2d(3))).state_dict())[:2]
        ['0.main_bn.weight', '0.main_bn.bias']
    """
    if isinstance(module, DSBN):
        return module
    if isinstance(module, _BatchNorm):
        return DSBN(module)
    for name, child in module.named_children():
        setattr(module, name, convert(child))
    return module


@contextmanager
def weak_images(module: nn.Module, n: int) -> Iterator[None]:
    """Within the block, the first ``n`` images of each batch that ``module`` is trained on are weak, the others strong.

    Args:
        module: with :class:`DSBN` inside.
        n: 0 or more; it may be the whole batch.

    Raises:
        ValueError: a negative number, or no ``DSBN`` in the module.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, DSBN)]
    if n < 0:
        raise ValueError(f'weak_images: the number of weak images is 0 or more, got {n}')
    if not layers:
        raise ValueError(f'weak_images: {type(module).__name__} has no DSBN: call ssod.segmentation.dsbn.convert first')
    before = [layer.weak for layer in layers]
    try:
        for layer in layers:
            layer.weak = n
        yield
    finally:
        for layer, weak in zip(layers, before, strict=True):
            layer.weak = weak


@contextmanager
def plain(module: nn.Module) -> Iterator[None]:
    """Within the block ``main_bn`` stands in place of each :class:`DSBN`; after it ``aux_bn`` is its copy.

    For what knows BatchNorm alone: the initialization of weights, and pretrained ones.
    """
    places = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, DSBN)
    ]
    for parent, name, child in places:
        setattr(parent, name, child.main_bn)
    try:
        yield
    finally:
        for parent, name, child in places:
            setattr(parent, name, child)
            child.aux_bn.load_state_dict(child.main_bn.state_dict())


def plain_weights(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the same network without DSBN: the weak half alone, under the plain layers' names."""
    return {key.replace('.main_bn.', '.'): value for key, value in state_dict.items() if '.aux_bn.' not in key}
