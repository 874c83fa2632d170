"""RoIAlign and RoIPool.

Feature maps are (B, C, H, W); RoIs are (image, x1, y1, x2, y2) in pixels of the image, (R, 5), and ``spatial_scale``
takes them to the feature map. Outputs are (R, C, height, width), written into a tensor that the caller gives.
"""

import torch
import torchvision
from torch import Tensor

from .dtypes import to_kernel_dtype


def _check_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise RuntimeError(
            "RoIAlign with pool_mode='max' needs the compiled mmcv-full, which `SSOD_OPS=compiled make install` "
            "builds; pool_mode='avg' does not."
        )


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Average of bilinear samples in each bin of each RoI.

    Args:
        input: (B, C, H, W).
        rois: (R, 5).
        output: output, (R, C, aligned_height, aligned_width).
        argmax_y: not touched; only ``max`` needs it.
        argmax_x: not touched.
        aligned_height: bins from top to bottom.
        aligned_width: bins from left to right.
        spatial_scale: a feature map's pixels per pixel of the image.
        sampling_ratio: samples per bin and axis; 0: as many as the bin has pixels.
        pool_mode: 1, the average.
        aligned: pixel (0, 0) has its center at (0.5, 0.5).

    Raises:
        RuntimeError: ``pool_mode`` is 0, the maximum.
    """
    _check_average(pool_mode)
    size = (aligned_height, aligned_width)
    input, rois = to_kernel_dtype(input, rois)
    output.copy_(torchvision.ops.roi_align(input, rois, size, spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of ``roi_align_forward`` for its feature map, written into ``grad_input`` (B, C, H, W)."""
    _check_average(pool_mode)
    grad_output, rois = to_kernel_dtype(grad_output, rois)
    bins = (spatial_scale, aligned_height, aligned_width)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(grad_output, rois, *bins, *grad_input.shape, sampling_ratio, aligned)
    )


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Maximum of the pixels that each bin of each RoI touches; bins outside the map give 0.

    Written in torch, one RoI after the other: torchvision's RoIPool rounds RoIs to whole pixels, which mmcv's does not.

    Args:
        input: (B, C, H, W).
        rois: (R, 5).
        output: output, (R, C, pooled_height, pooled_width).
        argmax: output, like ``output``, int32: row * W + column of the maximum, -1 in a bin without pixels.
        pooled_height: bins from top to bottom.
        pooled_width: bins from left to right.
        spatial_scale: a feature map's pixels per pixel of the image.
    """
    height, width = input.shape[2:]
    in_rows = _pixels_of_bins(rois[:, 2], rois[:, 4], spatial_scale, pooled_height, height)
    in_columns = _pixels_of_bins(rois[:, 1], rois[:, 3], spatial_scale, pooled_width, width)
    images = rois[:, 0].long()
    for r in range(len(rois)):
        pixels = input.index_select(0, images[r : r + 1])[0]
        # Rows last: of equal maxima, mmcv takes the first from left to right and from top to bottom.
        best, column = pixels[:, :, None].masked_fill(~in_columns[r], -torch.inf).max(-1)
        best, row = best[:, None].masked_fill(~in_rows[r, :, :, None], -torch.inf).max(-2)
        column = column.gather(1, row)
        empty = best == -torch.inf
        output[r] = best.masked_fill(empty, 0)
        argmax[r] = (row * width + column).masked_fill(empty, -1)


def _pixels_of_bins(start: Tensor, end: Tensor, scale: float, bins: int, size: int) -> Tensor:
    """Which pixels each bin of each RoI touches along one axis, (R, bins, size); none where a RoI has no length."""
    start, end = start * scale, (end + 1) * scale
    step = ((end - start) / bins)[:, None]
    bin_index = torch.arange(bins, device=start.device)
    first = (bin_index * step + start[:, None]).floor()[..., None]
    last = ((bin_index + 1) * step + start[:, None]).ceil()[..., None]
    pixel = torch.arange(size, device=start.device)
    return (pixel >= first) & (pixel < last) & (step[..., None] > 0)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Gradient of ``roi_pool_forward`` for its feature map, added to ``grad_input`` (B, C, H, W)."""
    channels = grad_input.shape[1]
    planes = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    pixels = planes[:, :, None] * grad_input[0, 0].numel() + argmax.flatten(2).clamp(min=0)
    grads = grad_output.flatten(2) * (argmax.flatten(2) >= 0)
    grad_input.view(-1).index_add_(0, pixels.flatten(), grads.flatten().to(grad_input))
