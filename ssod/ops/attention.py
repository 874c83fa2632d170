"""Multi-scale deformable attention (Deformable DETR) and the attention masks of PSANet."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .dtypes import to_full_precision


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Weighted sum of samples around each query's points, on all levels.

    Args:
        value: (B, sum of H_l * W_l, heads, D).
        value_spatial_shapes: (levels, 2), the H_l and W_l; read by the CPU.
        value_level_start_index: not needed, the shapes say it.
        sampling_locations: (B, Q, heads, levels, points, 2), x and y from 0 to 1; what lies outside counts 0.
        attention_weights: (B, Q, heads, levels, points).
        im2col_step: not needed.

    Returns:
        (B, Q, heads * D), in ``value``'s type; computed in float32 at least.
    """
    operands = map(to_full_precision, (value, sampling_locations, attention_weights))
    return _attend(*operands, value_spatial_shapes.tolist()).to(value.dtype)


def _attend(value: Tensor, locations: Tensor, weights: Tensor, shapes: list[list[int]]) -> Tensor:
    batch, _, heads, dim = value.shape
    queries = locations.shape[1]
    # A batch of batch * heads maps (D, H, W), and of as many grids (Q, points, 2) from -1 to 1.
    levels = value.permute(0, 2, 3, 1).flatten(0, 1).split([h * w for h, w in shapes], dim=-1)
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1).unbind(2)
    samples = [
        F.grid_sample(level.unflatten(-1, shape), grid, mode='bilinear', padding_mode='zeros', align_corners=False)
        for level, shape, grid in zip(levels, shapes, grids, strict=True)
    ]
    weights = weights.transpose(1, 2).flatten(0, 1).flatten(2)
    out = (torch.cat(samples, dim=-1) * weights[:, None]).sum(-1)
    return out.view(batch, heads * dim, queries).transpose(1, 2).contiguous()


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Gradients of ``ms_deform_attn_forward``, written into the three ``grad_*`` of its operands."""
    operands = (value, sampling_locations, attention_weights)
    operands = [to_full_precision(tensor).detach().requires_grad_() for tensor in operands]
    with torch.enable_grad():
        output = _attend(*operands, value_spatial_shapes.tolist())
    grads = torch.autograd.grad(output, operands, grad_output.to(output.dtype))
    for buffer, grad in zip((grad_value, grad_sampling_loc, grad_attn_weight), grads, strict=True):
        buffer.copy_(grad)


def _psa_channels(size: tuple[int, int], mask_size: tuple[int, int], half: tuple[int, int], device) -> Tensor:
    """Channel of the mask that pixel (column) has for pixel (row), (H * W, H * W); -1 where the mask does not reach."""
    y = torch.arange(size[0], device=device).repeat_interleave(size[1])
    x = torch.arange(size[1], device=device).repeat(size[0])
    row = y[:, None] - y + half[0]
    column = x[:, None] - x + half[1]
    inside = (row >= 0) & (row < mask_size[0]) & (column >= 0) & (column < mask_size[1])
    return (row * mask_size[1] + column).masked_fill(~inside, -1)


def psamask_forward(
    input: Tensor,
    output: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Spread each pixel's mask, which is centred on it, over the whole map; what it does not reach gets 0.

    Args:
        input: masks, (B, h_mask * w_mask, H, W).
        output: output, (B, H * W, H, W). ``collect``: at [p, q], what q's mask says about p; ``distribute``: about q
            what p's mask says.
        psa_type: 0 is ``collect``, 1 is ``distribute``.
        num_: B.
        h_feature: H.
        w_feature: W.
        h_mask: height of a mask.
        w_mask: width of a mask.
        half_h_mask: row of the mask's own pixel.
        half_w_mask: column of the mask's own pixel.
    """
    size, half = (h_feature, w_feature), (half_h_mask, half_w_mask)
    channels = _psa_channels(size, (h_mask, w_mask), half, input.device)
    masks = input.flatten(2).gather(1, channels.clamp(min=0).expand(num_, -1, -1))
    masks = masks.masked_fill(channels < 0, 0)
    output.copy_((masks if psa_type == 0 else masks.transpose(1, 2)).view_as(output))


def psamask_backward(
    grad_output: Tensor,
    grad_input: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Gradient of ``psamask_forward``, added to ``grad_input`` (B, h_mask * w_mask, H, W)."""
    size, half = (h_feature, w_feature), (half_h_mask, half_w_mask)
    channels = _psa_channels(size, (h_mask, w_mask), half, grad_input.device)
    grads = grad_output.flatten(2)
    grads = (grads if psa_type == 0 else grads.transpose(1, 2)).masked_fill(channels < 0, 0)
    grad_input.view(num_, h_mask * w_mask, -1).scatter_add_(1, channels.clamp(min=0).expand(num_, -1, -1), grads)
