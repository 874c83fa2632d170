"""RoIAlign over all levels at once, for a CPU."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Cells(NamedTuple):
    """Along one axis, the cells that each bin draws from; the bins' lists follow one another.

    Attributes:
        cell, weight: (m,) int64 and float; a bin's weights sum to 1, less what lies outside the feature map.
        count, first: (n * bins,) int64: length of each bin's list, and where it starts.
    """

    cell: Tensor
    weight: Tensor
    count: Tensor
    first: Tensor


def multilevel_roi_align(
    feats: tuple[Tensor, ...],
    rois: Tensor,
    levels: Tensor,
    scales: list[float],
    output_size: tuple[int, int],
    sampling_ratio: int = 0,
) -> Tensor:
    """RoIAlign (He et al., Mask R-CNN, section 3), each RoI from its own feature level.

    A bin is the mean of bilinear samples, so a weighted sum of cells, and its weights are products of a row's and a
    column's. Torch's ``embedding_bag`` sums them: on all cores, forward and backward, where the RoIAlign of torchvision
    and that of mmcv work on one. Same values as theirs with ``aligned=True``, to rounding.

    Args:
        feats: a feature map (B, C, H, W) per level.
        rois: (n, 5): image index, then xyxy in pixels of the batch's images. One turned inside out gets zeros.
        levels: (n,) int64, in [0, len(feats)).
        scales: cells a pixel, of each level.
        output_size: bins (h, w).
        sampling_ratio: samples a bin along each axis; 0 or less: as many as cells, rounded up.

    Returns:
        (n, C, h, w).
    """
    cells = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in feats])
    index, weight, first = bags_of_cells(feats, rois, levels, scales, output_size, sampling_ratio)
    pooled = F.embedding_bag(index, cells, first, mode='sum', per_sample_weights=weight)
    return pooled.view(len(rois), *output_size, cells.shape[1]).permute(0, 3, 1, 2).contiguous()


def bags_of_cells(
    feats: tuple[Tensor, ...],
    rois: Tensor,
    levels: Tensor,
    scales: list[float],
    output_size: tuple[int, int],
    sampling_ratio: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The cells that the bins draw from, bin after bin, as ``embedding_bag`` takes them.

    Args:
        As :func:`multilevel_roi_align`.

    Returns:
        Of m cells, their indices (m,) int64 among all cells, which are counted through levels, images, rows and
        columns; their weights (m,); and where each of the n * h * w bins starts.
    """
    sizes = torch.tensor([level.shape[-2:] for level in feats])
    areas = sizes.prod(dim=1)
    starts = (areas * len(feats[0])).cumsum(0) - areas * len(feats[0])
    corners = rois[:, 1:] * rois.new_tensor(scales)[levels, None] - 0.5
    (height, width), (bins_y, bins_x) = sizes[levels].unbind(dim=1), output_size
    y = axis_cells(corners[:, 1], corners[:, 3] - corners[:, 1], height, bins_y, sampling_ratio)
    x = axis_cells(corners[:, 0], corners[:, 2] - corners[:, 0], width, bins_x, sampling_ratio)

    # All pairs of a row and a column of the bin.
    count = (y.count.view(-1, bins_y, 1) * x.count.view(-1, 1, bins_x)).flatten()
    first = count.cumsum(0) - count
    bag = torch.arange(len(count)).repeat_interleave(count)
    roi = bag // (bins_y * bins_x)
    bin_x = roi * bins_x + bag % bins_x
    place = torch.arange(len(bag)) - first[bag]
    row = y.first[bag // bins_x] + place // x.count[bin_x]
    column = x.first[bin_x] + place % x.count[bin_x]
    image = starts[levels] + rois[:, 0].long() * areas[levels]
    return image[roi] + y.cell[row] * width[roi] + x.cell[column], y.weight[row] * x.weight[column], first


def axis_cells(start: Tensor, size: Tensor, limit: Tensor, bins: int, sampling_ratio: int) -> Cells:
    """Which cells the bins of n RoIs draw from along one axis.

    Args:
        start, size: (n,) of each RoI, in cells; the middle of the first cell is 0.
        limit: (n,) int64, cells that the RoI's feature map has.
        bins: bins a RoI.
        sampling_ratio: see :func:`multilevel_roi_align`.
    """
    step = size / bins
    samples = (step.ceil() if sampling_ratio <= 0 else torch.full_like(step, sampling_ratio) * (step >= 0)).long()
    samples = samples.clamp(min=0)  # after the cast, which makes a number of what is none
    roi = torch.arange(len(start)).repeat_interleave(samples * bins)
    place = torch.arange(len(roi)) - ((samples * bins).cumsum(0) - samples * bins)[roi]
    of_bin, sample = place // samples[roi], place % samples[roi]
    part = samples.to(step).reciprocal()[roi]  # of a bin, that a sample stands for
    position = start[roi] + (of_bin + (sample + 0.5).to(step) * part) * step[roi]
    # A sample up to a cell outside takes the outermost cell's value, one farther outside counts as 0.
    last = limit[roi] - 1
    inside = (position >= -1) & (position <= limit[roi])
    low = torch.minimum(position.clamp(min=0).long(), last)
    high = torch.minimum(low + 1, last)
    part = part * inside
    to_high = part * (position - low).clamp(0, 1)

    length = int(limit.max()) if len(limit) else 1
    line = (roi * bins + of_bin) * length
    dense = start.new_zeros(len(start) * bins * length)
    dense.scatter_add_(0, line + high, to_high).scatter_add_(0, line + low, part - to_high)
    dense = dense.view(-1, length)
    bin_index, cell = dense.nonzero(as_tuple=True)
    count = bin_index.bincount(minlength=len(dense))
    return Cells(cell, dense[bin_index, cell], count, count.cumsum(0) - count)
