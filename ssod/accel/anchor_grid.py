"""The anchors of all levels in one tensor, cut from grids that are made once."""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import torch
from mmdet.core.anchor import AnchorGenerator
from torch import Tensor

STEP = 32  # cells by which a grid is larger than it has to be, so that views of many sizes share it


class Anchors(NamedTuple):
    """The N anchors of all levels, counted through levels, rows, columns and the anchors of a place.

    Attributes:
        table: (N, 7): xyxy in pixels, column and row of the place, level.
        sizes: how many each level has.
    """

    table: Tensor
    sizes: list[int]

    @property
    def boxes(self) -> Tensor:
        """(N, 4), xyxy in pixels."""
        return self.table[:, :4]


def anchors_of(generator: AnchorGenerator, map_sizes: Sequence[tuple[int, int]], device: torch.device) -> Anchors:
    """Those of ``generator.grid_priors``.

    Args:
        generator: of an anchor head.
        map_sizes: (h, w) of each level's feature map.
        device: where they are needed.
    """
    parts = []
    for level, (height, width) in enumerate(map_sizes):
        grid = grid_of(generator, level, ceil(height / STEP) * STEP, ceil(width / STEP) * STEP, device)
        parts.append(grid[:height, :width].flatten(0, 2))
    return Anchors(torch.cat(parts), [len(part) for part in parts])


@lru_cache(maxsize=64)
def grid_of(generator: AnchorGenerator, level: int, height: int, width: int, device: torch.device) -> Tensor:
    """(height, width, A, 7), the table of one level; see :class:`Anchors`."""
    boxes = generator.single_level_grid_priors((height, width), level, device=device).view(height, width, -1, 4)
    rows, columns = torch.meshgrid(*(torch.arange(n, device=device) for n in (height, width)), indexing='ij')
    places = torch.stack([columns, rows, torch.full_like(rows, level)], dim=-1)
    return torch.cat([boxes, places[:, :, None].expand(-1, -1, boxes.shape[2], -1).to(boxes)], dim=-1)


def within_images(
    generator: AnchorGenerator, anchors: Anchors, map_sizes: Sequence[tuple[int, int]], img_metas: list[dict]
) -> Tensor | None:
    """(B, N) bool: which anchors' places lie in the padded images, as ``generator.valid_flags``; None: all of them."""
    limits = [
        [
            (min(ceil(meta['pad_shape'][1] / stride[0]), width), min(ceil(meta['pad_shape'][0] / stride[1]), height))
            for stride, (height, width) in zip(generator.strides, map_sizes, strict=True)
        ]
        for meta in img_metas
    ]
    if all(own == [(width, height) for height, width in map_sizes] for own in limits):
        return None
    limits = torch.tensor(limits, device=anchors.table.device)[:, anchors.table[:, 6].long()]
    return (anchors.table[:, 4:6] < limits).all(dim=-1)
