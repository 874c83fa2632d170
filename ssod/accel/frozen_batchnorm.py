"""Frozen BatchNorm computed by the convolution before it."""

from collections import Counter
from itertools import pairwise

import torch
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.wrappers import Conv2d as WrappedConv2d
from torch import Tensor, nn

from ssod.core.hardware import launch_bound

from .folded_weights import FoldedWeights


class FoldedBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm that does nothing while it is frozen: the convolution before it did its work."""

    def forward(self, x: Tensor) -> Tensor:
        """The normalization, unless the convolution before it did it."""
        return x if is_frozen(self) else super().forward(x)


class FoldedSyncBatchNorm(nn.SyncBatchNorm):
    """As :class:`FoldedBatchNorm2d`, for a BatchNorm over all processes."""

    def forward(self, x: Tensor) -> Tensor:
        """The normalization, unless the convolution before it did it."""
        return x if is_frozen(self) else super().forward(x)


class FoldingConv2d(nn.Conv2d):
    """A convolution that does the work of the BatchNorm after it, too, while that is frozen.

    ``s * (w * x) + t = (s w) * x + t``.

    Attributes:
        followed_by: that BatchNorm; in a tuple, so that it is not registered here a second time.
        folded: the products of its weights and of others'.
    """

    followed_by: tuple[nn.BatchNorm2d]
    folded: FoldedWeights

    def forward(self, x: Tensor) -> Tensor:
        """The convolution, with the normalization that follows it if that is frozen."""
        (norm,) = self.followed_by
        return convolve_and_normalize(self, norm, x) if is_frozen(norm) else super().forward(x)


class FoldingWrappedConv2d(WrappedConv2d):
    """As :class:`FoldingConv2d`, for mmcv's own convolution."""

    followed_by: tuple[nn.BatchNorm2d]
    folded: FoldedWeights

    def forward(self, x: Tensor) -> Tensor:
        """The convolution, with the normalization that follows it if that is frozen."""
        (norm,) = self.followed_by
        return convolve_and_normalize(self, norm, x) if is_frozen(norm) else super().forward(x)


# Types, not instances: subclasses may do more than convolve or normalize.
CONVOLUTIONS = {nn.Conv2d: FoldingConv2d, WrappedConv2d: FoldingWrappedConv2d}
NORMS = {nn.BatchNorm2d: FoldedBatchNorm2d, nn.SyncBatchNorm: FoldedSyncBatchNorm}
PLAIN = {folded: plain for plain, folded in (CONVOLUTIONS | NORMS).items()}


def fold_frozen_batchnorm(model: nn.Module) -> None:
    """Let each convolution that a BatchNorm follows do the work of both, whenever that BatchNorm is frozen. In place.

    One pass over the activations less, and half of what a backbone keeps for the backward pass. Parameters, buffers
    and checkpoints stay as they are; gradients reach the same weights. Frozen is a BatchNorm in eval mode without
    trainable parameters; that is asked at each call, so ``model.train()`` and ``requires_grad_()`` keep their meaning.
    Copies of the model fold with their own BatchNorm. :func:`unfold_batchnorm` takes it back.

    Args:
        model: modules are paired as mmcv's ``fuse_conv_bn`` pairs them: a BatchNorm with the convolution before it
            among the children of the same module. A convolution or BatchNorm that several modules share is left alone,
            and so is a ``ConvModule`` that normalizes first. What puts other modules in place of a BatchNorm
            (``fuse_conv_bn``, ``convert_sync_batchnorm``) has to come before.
    """
    modules = list(model.modules())
    of_frozen = FoldedWeights()
    parents = Counter(child for module in modules for child in module.children())
    for module in modules:
        if isinstance(module, ConvModule) and module.order.index('norm') < module.order.index('conv'):
            continue
        # Gradients of a group arrive together: small groups, so that DDP sends the first while the last are computed.
        of_trained = FoldedWeights()
        for conv, norm in pairwise(module.children()):
            foldable = type(norm) in NORMS and norm.affine and norm.track_running_stats
            if foldable and type(conv) in CONVOLUTIONS and parents[conv] == parents[norm] == 1:
                conv.followed_by = (norm,)
                conv.folded = of_trained if conv.weight.requires_grad else of_frozen
                conv.folded.add(conv, norm)
                conv.__class__ = CONVOLUTIONS[type(conv)]
                norm.__class__ = NORMS[type(norm)]


def unfold_batchnorm(model: nn.Module) -> None:
    """Give every convolution and BatchNorm of :func:`fold_frozen_batchnorm` its own work back. In place."""
    for module in model.modules():
        if type(module) in PLAIN:
            vars(module).pop('followed_by', None)
            vars(module).pop('folded', None)
            module.__class__ = PLAIN[type(module)]


def is_frozen(norm: nn.Module) -> bool:
    """Whether a BatchNorm is in eval mode and has no trainable parameter, and no compiler is there to fold it."""
    return not (torch.compiler.is_compiling() or norm.training or norm.weight.requires_grad or norm.bias.requires_grad)


def convolve_and_normalize(conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tensor:
    """``norm(conv(x))`` of a frozen BatchNorm, as one convolution.

    Args:
        conv: its weights are scaled for this call alone.
        norm: frozen, with running statistics and affine parameters.
        x: (B, C, H, W).

    Returns:
        (B, C', H', W').
    """
    if launch_bound(x.device):
        return conv._conv_forward(x, *conv.folded.of(conv))
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
