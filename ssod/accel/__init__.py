"""Faster parts of equal results, which are asked for: importing this package changes nothing of MMDetection."""

from mmdet.models import RPNHead, SingleRoIExtractor, StandardRoIHead
from torch import nn

from .batched_roi_head import BatchedRoIHead
from .batched_samples import BatchSamples, deltas_of, is_plain, sample_rois
from .frozen_batchnorm import fold_frozen_batchnorm, unfold_batchnorm
from .roi_align import multilevel_roi_align
from .roi_extractors import MultilevelRoIExtractor
from .rpn_head import SampledRPNHead

# MMDetection's class and ours, which has the same attributes, parameters and results.
SWAPS: dict[type[nn.Module], type[nn.Module]] = {
    SingleRoIExtractor: MultilevelRoIExtractor,
    RPNHead: SampledRPNHead,
    StandardRoIHead: BatchedRoIHead,
}


def accelerate(model: nn.Module, on: bool = True) -> nn.Module:
    """Swap faster parts into a model, in place, or out of it again.

    Modules change their class, and nothing else: parameters, buffers, attributes, hooks and checkpoints stay. Copies
    of the model are accelerated, too. Only MMDetection's own classes are swapped, no subclass of them.

    Args:
        model: a detector of MMDetection, or one of ours that holds two.
        on: False takes every swap back.

    Returns:
        ``model``.

    Examples:
        >>> from mmdet.models import build_roi_extractor
        >>> layer = dict(type='RoIAlign', output_size=7, sampling_ratio=0)
        >>> model = build_roi_extractor(
        ...     dict(type='SingleRoIExtractor', roi_layer=layer, out_channels=8, featmap_strides=[4])
        ... )
        >>> type(accelerate(model)).__name__
        'MultilevelRoIExtractor'
        >>> type(accelerate(model, on=False)).__name__
        'SingleRoIExtractor'
    """
    swaps = SWAPS if on else {fast: plain for plain, fast in SWAPS.items()}
    for module in model.modules():
        if type(module) in swaps:
            module.__class__ = swaps[type(module)]
    if on:
        fold_frozen_batchnorm(model)
    else:
        unfold_batchnorm(model)
    return model


__all__ = [
    'BatchSamples',
    'BatchedRoIHead',
    'MultilevelRoIExtractor',
    'SampledRPNHead',
    'accelerate',
    'deltas_of',
    'fold_frozen_batchnorm',
    'is_plain',
    'multilevel_roi_align',
    'sample_rois',
    'unfold_batchnorm',
]
