"""Swin Transformers as backbones (Liu et al., ICCV 2021): MMDetection's network, files and memory as we need them."""

from typing import Any

import torch
from mmcv.runner import BaseModule
from mmdet.models.backbones.swin import SwinBlock, SwinTransformer
from mmdet.models.builder import BACKBONES
from mmdet.models.utils.ckpt_convert import swin_converter
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ssod.core.errors import InputError
from ssod.pretrained.initializer import read_file
from ssod.pretrained.layouts import backbone_weights

TABLE = 'relative_position_bias_table'


class CheckpointedBlock(SwinBlock):
    """A block that keeps its input alone, and computes again what its backward pass needs.

    MMDetection's own ``with_cp`` takes torch's reentrant form. Under DDP that one may fail where a network is used
    twice in a step, as a student is.
    """

    def forward(self, x: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """(B, L, C) tokens of a map of L = h * w places."""
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(x, hw_shape)
        return checkpoint(super().forward, x, hw_shape, use_reentrant=False)


@BACKBONES.register_module()
class SwinBackbone(SwinTransformer):
    """MMDetection's ``SwinTransformer`` with other checkpointing and stricter files; its maps are bit by bit the same.

    ``init_cfg=dict(type='PretrainedBackbone', checkpoint=...)`` takes the authors' files, and those of a trained
    detector. A table of relative positions is resized where the window differs. The norms of the outputs, which a
    classification model does not have, stay as they are drawn.

    Args:
        with_cp: save memory by computing each block again in the backward pass.
        settings: other arguments of ``SwinTransformer``; ``convert_weights`` has nothing to do here.

    Raises:
        InputError: an argument that would do nothing.

    Examples:
        >>> backbone = SwinBackbone(embed_dims=24, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), with_cp=True)
        >>> [tuple(level.shape) for level in backbone(torch.zeros(1, 3, 64, 96))]
        [(1, 24, 16, 24), (1, 48, 8, 12), (1, 96, 4, 6), (1, 192, 2, 3)]
    """

    def __init__(self, with_cp: bool = False, **settings: Any) -> None:
        for name in {'convert_weights', 'pretrained'} & settings.keys():
            raise InputError(f"SwinBackbone has no `{name}`: write init_cfg=dict(type='PretrainedBackbone', ...)")
        super().__init__(**settings)
        if with_cp:
            for stage in self.stages:
                for block in stage.blocks:
                    block.__class__ = CheckpointedBlock  # the stage makes its blocks itself

    def train(self, mode: bool = True) -> 'SwinBackbone':
        """Set the mode; frozen stages stay in eval mode."""
        super().train(mode)
        return self

    def init_weights(self) -> None:
        """From the file that ``init_cfg`` names, else as MMDetection draws them."""
        if self.init_cfg and self.init_cfg['type'] == 'PretrainedBackbone':
            BaseModule.init_weights(self)  # MMDetection's own reads files in its own way
        else:
            super().init_weights()

    def read_weights(self, path: str) -> dict[str, Tensor]:
        """The tensors of a file by the names, and in the shapes, that this module has for them.

        Raises:
            InputError: the file cannot be read.
        """
        weights, own = read_file(path), self.state_dict()
        if any(name.startswith('layers.') for name in weights):  # the authors'
            weights = swin_converter({name: value for name, value in weights.items() if not name.startswith('norm.')})
        weights = backbone_weights(self, weights)
        # Both are computed: where each pair of a window is in the table, and which pairs a shifted window has.
        computed = ('attn_mask', 'relative_position_index')
        weights = {name: value for name, value in weights.items() if not name.endswith(computed)}
        kept = [name for name in own if name.endswith(computed)]
        if not any(name.startswith('norm') for name in weights):
            kept += [name for name in own if name.startswith('norm')]
        tables = {name: resized(v, own[name]) for name, v in weights.items() if name.endswith(TABLE) and name in own}
        return {**weights, **tables, **{name: own[name] for name in kept}}


def resized(table: Tensor, like: Tensor) -> Tensor:
    """A table of relative positions, ((2w - 1)^2, heads), for another window, interpolated as MMDetection does.

    Of another number of heads it stays as it is, and will not fit.
    """
    if table.shape == like.shape or table.shape[1] != like.shape[1]:
        return table
    old, new = (round(len(one) ** 0.5) for one in (table, like))
    grid = table.T.reshape(1, -1, old, old)
    return functional.interpolate(grid, size=(new, new), mode='bicubic').flatten(2)[0].T.contiguous()
