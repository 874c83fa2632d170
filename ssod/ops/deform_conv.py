"""Deformable convolution, version 1 (offsets) and 2 (offsets and a mask), and its gradients.

Shapes: input (B, C, H, W), weight (O, C / groups, kH, kW), offset (B, 2 * G * kH * kW, h, w) with (y, x) pairs in
pixels of the input, mask (B, G * kH * kW, h, w), output (B, O, h, w); G is ``deformable_group``. Results are written
into tensors that the caller gives. ``ones``, ``im2col_step`` and in part ``columns`` are work space of the compiled
operators.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .dtypes import to_kernel_dtype


class Geometry(NamedTuple):
    """How the kernel moves over the input, in pixels and vertical first, and how channels are grouped."""

    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    dilation_h: int
    dilation_w: int
    groups: int
    deformable_groups: int


class Operands(NamedTuple):
    """The tensors of a deformable convolution, in the order of torchvision's kernels."""

    input: Tensor
    weight: Tensor
    offset: Tensor
    mask: Tensor
    bias: Tensor

    @classmethod
    def of(cls, input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None) -> 'Operands':
        """Bring the tensors to one type; what is None becomes the zeros that torchvision wants in its place."""
        mask = input.new_zeros(len(input), 1) if mask is None else mask
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        return cls(*to_kernel_dtype(input, weight, offset, mask, bias))


def _forward(operands: Operands, geometry: Geometry, use_mask: bool) -> Tensor:
    # Under autocast torchvision would go to float32; mmcv computes in the type that it is given.
    with torch.autocast(operands.input.device.type, enabled=False):
        return torch.ops.torchvision.deform_conv2d(*operands, *geometry, use_mask)


def _backward(grad_output: Tensor, operands: Operands, geometry: Geometry, use_mask: bool) -> Operands:
    """The gradient of each operand."""
    grad_output = grad_output.to(operands.input.dtype)
    grads = torch.ops.torchvision._deform_conv2d_backward(grad_output, *operands, *geometry, use_mask)
    grads = Operands(*grads)
    _drop_outside(grads.offset, operands.offset, operands.input.shape[2:], operands.weight.shape[2:], geometry)
    return grads


def _drop_outside(grad_offset: Tensor, offset: Tensor, size: tuple, kernel: tuple, geometry: Geometry) -> None:
    """Set the gradient of offsets to 0 where a sample lies outside the input, as mmcv does.

    A sample at exactly -1, where each padded layer starts with its offsets of 0, has no value; torchvision gives its
    offset the gradient that it would have a little further in.
    """
    batch, _, *out = offset.shape
    shape = (batch, geometry.deformable_groups, *kernel, 2, *out)
    y, x = offset.view(shape).unbind(4)
    y = y + _grid(out[0], geometry.stride_h, geometry.pad_h, kernel[0], geometry.dilation_h, offset)[:, None, :, None]
    x = x + _grid(out[1], geometry.stride_w, geometry.pad_w, kernel[1], geometry.dilation_w, offset)[:, None]
    outside = (y <= -1) | (x <= -1) | (y >= size[0]) | (x >= size[1])
    grad_offset.view(shape).masked_fill_(outside.unsqueeze(4), 0)


def _grid(steps: int, stride: int, pad: int, kernel: int, dilation: int, like: Tensor) -> Tensor:
    """Where the kernel samples along one axis without offsets, (kernel, steps), in pixels of the input."""
    start = torch.arange(steps, device=like.device) * stride - pad
    return (torch.arange(kernel, device=like.device)[:, None] * dilation + start).to(like.dtype)


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Convolve at shifted places; the result goes into ``output``."""
    geometry = Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    output.copy_(_forward(Operands.of(input, weight, offset, None, None), geometry, use_mask=False))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Gradients of ``deform_conv_forward`` for input and offset.

    torchvision computes all gradients at once. That of the weight waits at ``columns`` for
    ``deform_conv_backward_parameters``, which mmcv calls next, with the same tensors, if the weight wants a gradient.
    """
    geometry = Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    grads = _backward(gradOutput, Operands.of(input, weight, offset, None, None), geometry, use_mask=False)
    gradInput.copy_(grads.input)
    gradOffset.copy_(grads.offset)
    columns.waiting = gradOutput, grads.weight


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Gradient of ``deform_conv_forward`` for the weight, times ``scale``, added to ``gradWeight``."""
    of, grad = columns.__dict__.pop('waiting', (None, None))
    if of is not gradOutput:  # another pass left it, or none: this pass wants the weight's gradient alone
        geometry = Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
        operands = Operands.of(input, torch.zeros_like(gradWeight), offset, None, None)
        grad = _backward(gradOutput, operands, geometry, use_mask=False).weight
    gradWeight.add_(grad, alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Convolve at shifted and weighted places; the result goes into ``output``."""
    geometry = Geometry(stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    operands = Operands.of(input, weight, offset, mask, bias if with_bias else None)
    output.copy_(_forward(operands, geometry, use_mask=True))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Gradients of ``modulated_deform_conv_forward``, written into the five ``grad_*`` of its operands."""
    geometry = Geometry(stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    operands = Operands.of(input, weight, offset, mask, bias if with_bias else None)
    grads = _backward(grad_output, operands, geometry, use_mask=True)
    grad_input.copy_(grads.input)
    grad_weight.copy_(grads.weight)
    grad_offset.copy_(grads.offset)
    grad_mask.copy_(grads.mask)
    if with_bias:
        grad_bias.copy_(grads.bias)
