"""Convolutions whose places or kernels depend on the input: masked convolution and CARAFE."""

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Patches of a feature map at some places, for a convolution there alone (stride 1).

    Args:
        im: (1, C, H, W).
        mask_h_idx: rows of the places, (N,), int64.
        mask_w_idx: columns of the places, (N,), int64.
        col: output, (C * kernel_h * kernel_w, N).
        kernel_h: height of a patch.
        kernel_w: width of a patch.
        pad_h: rows of zeros above and below the map.
        pad_w: columns of zeros on both sides.
    """
    padded = F.pad(im[0], (pad_w, max(pad_w, kernel_w), pad_h, max(pad_h, kernel_h)))
    rows = torch.arange(kernel_h, device=im.device)[:, None, None] + mask_h_idx
    columns = torch.arange(kernel_w, device=im.device)[:, None] + mask_w_idx
    col.copy_(padded[:, rows, columns].view_as(col))


def masked_col2im_forward(
    col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor, height: int, width: int, channels: int
) -> None:
    """Put columns (C, N) at their places in a feature map ``im`` (1, C, H, W); the rest of it stays."""
    im.view(channels, height, width)[:, mask_h_idx, mask_w_idx] = col


def _carafe(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    batch, channels, height, width = features.shape
    patches = F.unfold(features, kernel_size, padding=(kernel_size - 1) // 2)
    patches = patches.view(batch, group_size, channels // group_size, kernel_size**2, height, width)
    masks = masks.view(batch, group_size, kernel_size**2, height, scale_factor, width, scale_factor)
    upsampled = torch.einsum('bgckhw,bgkhywx->bgchywx', patches, masks)
    return upsampled.reshape(batch, channels, height * scale_factor, width * scale_factor)


def _carafe_grads(grad_output: Tensor, features: Tensor, masks: Tensor, **sizes: int) -> tuple[Tensor, ...]:
    operands = [features.detach().requires_grad_(), masks.detach().requires_grad_()]
    with torch.enable_grad():
        output = _carafe(*operands, **sizes)
    return torch.autograd.grad(output, operands, grad_output)


def carafe_naive_forward(
    features: Tensor, masks: Tensor, output: Tensor, kernel_size: int, group_size: int, scale_factor: int
) -> None:
    """Upsample with a kernel of its own for each output pixel.

    Args:
        features: (B, C, H, W).
        masks: kernels, (B, group_size * kernel_size ** 2, H * scale_factor, W * scale_factor).
        output: output, (B, C, H * scale_factor, W * scale_factor).
        kernel_size: side of a kernel, odd.
        group_size: groups of channels that have kernels of their own.
        scale_factor: of the upsampling.
    """
    output.copy_(_carafe(features, masks, kernel_size, group_size, scale_factor))


def carafe_naive_backward(
    top_grad: Tensor,
    features: Tensor,
    masks: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Gradients of ``carafe_naive_forward``, written into ``bottom_grad`` (features) and ``mask_grad``."""
    sizes = dict(kernel_size=kernel_size, group_size=group_size, scale_factor=scale_factor)
    grads = _carafe_grads(top_grad, features, masks, **sizes)
    bottom_grad.copy_(grads[0])
    mask_grad.copy_(grads[1])


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """``carafe_naive_forward``, with work space; ``rfeatures`` keeps the features for ``carafe_backward``."""
    rfeatures.copy_(features)
    carafe_naive_forward(features, masks, output, kernel_size, group_size, scale_factor)


def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Gradients of ``carafe_forward``, written into ``bottom_grad`` (features) and ``mask_grad``."""
    sizes = dict(kernel_size=kernel_size, group_size=group_size, scale_factor=scale_factor)
    carafe_naive_backward(top_grad, rfeatures, masks, bottom_grad, mask_grad, **sizes)
