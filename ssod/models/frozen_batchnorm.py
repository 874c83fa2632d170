"""Frozen BatchNorm computed by the convolution before it."""

from collections import Counter
from functools import partial
from itertools import pairwise

import torch
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.wrappers import Conv2d as WrappedConv2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def fold_frozen_batchnorm(model: nn.Module) -> None:
    """Let each convolution that a BatchNorm follows do the work of both, whenever that BatchNorm is frozen.

    ``s * (w * x) + t = (s w) * x + t``: one pass over the activations less, and half of what a backbone keeps for the
    backward pass. Parameters, buffers and checkpoints stay as they are; gradients reach the same weights. Frozen is a
    BatchNorm in eval mode without trainable parameters; that is asked at each call, so ``model.train()`` and
    ``requires_grad_()`` keep their meaning.

    Args:
        model: modules are paired as mmcv's ``fuse_conv_bn`` pairs them: a BatchNorm with the convolution before it
            among the children of the same module. A convolution that several modules share is left alone, and so is
            a ``ConvModule`` that normalises first.
    """
    modules = list(model.modules())
    parents = Counter(child for module in modules for child in module.children())
    for module in modules:
        if isinstance(module, ConvModule) and module.order.index('norm') < module.order.index('conv'):
            continue
        for conv, norm in pairwise(module.children()):
            foldable = isinstance(norm, _BatchNorm) and norm.affine and norm.track_running_stats
            # Types, not instances: subclasses may do more than convolve.
            if foldable and type(conv) in (nn.Conv2d, WrappedConv2d) and parents[conv] == 1:
                conv.forward = partial(_convolve, conv, norm)
                norm.forward = partial(_normalize, norm)


def _is_frozen(norm: _BatchNorm) -> bool:
    return not (norm.training or norm.weight.requires_grad or norm.bias.requires_grad)


def _convolve(conv: nn.Conv2d, norm: _BatchNorm, x: Tensor) -> Tensor:
    """The convolution, with the normalisation that follows it if that is frozen."""
    if not _is_frozen(norm):
        return type(conv).forward(conv, x)
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    weight = conv.weight * scale.view(-1, 1, 1, 1)
    if x.shape == weight.shape:  # which of the two a saved tensor is cannot be told
        return conv._conv_forward(x, weight, shift)

    # The graph would keep the product, as large as the weights, for each pass: it is computed again instead.
    def pack(saved: Tensor) -> Tensor | torch.dtype:
        return saved.dtype if saved.shape == weight_shape else saved

    def unpack(kept: Tensor | torch.dtype) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        return (conv.weight.detach() * scale.view(-1, 1, 1, 1)).to(kept)

    weight_shape = weight.shape
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return conv._conv_forward(x, weight, shift)


def _normalize(norm: _BatchNorm, x: Tensor) -> Tensor:
    """The normalisation, unless the convolution before it did it."""
    return x if _is_frozen(norm) else type(norm).forward(norm, x)
