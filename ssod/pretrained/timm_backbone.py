"""Any network of timm as the backbone of a detector of MMDetection or a segmentor of MMSegmentation."""

from collections.abc import Sequence
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import torch
from mmcv.runner import BaseModule
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ssod.core.errors import InputError, reading_checkpoint


class TimmBackbone(BaseModule):
    """Feature maps of a network of timm (``pip install ssod[timm]``), without its classifier.

    It starts from a file in timm's own names, ``.safetensors`` or ``.pth``, by
    ``init_cfg=dict(type='PretrainedBackbone', checkpoint=PATH)``; without ``init_cfg`` as timm initializes it. It is
    built without network.

    Args:
        model_name: timm's name of the network.
        out_indices: which of its feature maps, the largest first; with five of them strides 2, 4, 8, 16 and 32.
            ``feature_info.channels()`` says what the neck wants as ``in_channels``.
        norm_eval: BatchNorm takes its statistics from the weights, not from the batch, in training too.
        sync_bn: BatchNorm takes its statistics from the batches of all GPUs; no effect without a GPU, as SyncBN.
        init_cfg: None, or the ``PretrainedBackbone``.
        options: other arguments of ``timm.create_model``, such as ``img_size`` of a vision transformer.

    Raises:
        InputError: timm is not installed, has no such network, or cannot give such feature maps.

    Examples:
        >>> backbone = TimmBackbone('resnet18', out_indices=(1, 2, 3, 4))
        >>> backbone.feature_info.channels(), backbone.feature_info.reduction()
        ([64, 128, 256, 512], [4, 8, 16, 32])
        >>> [tuple(level.shape) for level in backbone(torch.zeros(1, 3, 64, 96))]
        [(1, 64, 16, 24), (1, 128, 8, 12), (1, 256, 4, 6), (1, 512, 2, 3)]
    """

    def __init__(
        self,
        model_name: str,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        norm_eval: bool = True,
        sync_bn: bool = False,
        init_cfg: dict | None = None,
        **options: Any,
    ) -> None:
        super().__init__(init_cfg)
        if 'pretrained' in options:
            raise InputError("TimmBackbone has no `pretrained`: set init_cfg=dict(type='PretrainedBackbone', ...)")
        timm = import_timm()
        if not timm.is_model(model_name):
            near = get_close_matches(model_name.split('.')[0], timm.list_models(), n=1)
            raise InputError(f'timm has no network {model_name!r}' + (f': did you mean {near[0]!r}' if near else ''))
        self.model_name, self.norm_eval = model_name, norm_eval
        try:
            self.model = timm.create_model(
                model_name, pretrained=False, features_only=True, out_indices=tuple(out_indices), **options
            )
        except (RuntimeError, AssertionError, AttributeError, IndexError) as error:
            raise InputError(f'timm gives no feature maps {tuple(out_indices)} of {model_name}: {error}') from error
        if sync_bn and torch.cuda.is_available():
            self.model = timm.layers.convert_sync_batchnorm(self.model)  # torch's would lose timm's activations
        self.feature_info = self.model.feature_info

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps (B, C_i, H / stride_i, W / stride_i) of (B, 3, H, W) normalized images."""
        features = self.model(images)
        if getattr(self.model, 'output_fmt', 'NCHW') == 'NHWC':
            features = [level.permute(0, 3, 1, 2).contiguous() for level in features]
        return tuple(features)

    def train(self, mode: bool = True) -> 'TimmBackbone':
        """Set the mode; with ``norm_eval`` BatchNorm stays in eval mode."""
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def read_weights(self, path: str) -> dict[str, Tensor]:
        """The tensors of a file of timm's, by the names that this module has for them.

        timm writes the first dot of some names as an underscore where it gives features only, or wraps the network.
        Weights of the whole network that its features do not need are left out; those of another network are not.

        Raises:
            InputError: the file cannot be read.
        """
        timm, own = import_timm(), self.model.state_dict()
        with reading_checkpoint(path):
            weights = timm.models.load_state_dict(path)
        whole = timm.create_model(self.model_name).state_dict()
        named = {}
        for name, value in weights.items():
            places = (name, name.replace('.', '_', 1), f'model.{name}', f'body.{name}')
            place = next((place for place in places if place in own), None)
            if place or name not in whole:
                named[f'model.{place or name}'] = value
        return named


def import_timm() -> ModuleType:
    """timm, or what to install.

    Raises:
        InputError: it is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise InputError(f'TimmBackbone needs timm ({error}): pip install ssod[timm]') from error
    return timm
