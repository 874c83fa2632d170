"""Small calls of mmcv's operators, each a function of nothing: what it returns depends on the operators alone.

``make_reference.py`` records what the compiled mmcv-full gives for ``COMPILED``; the tests run the same functions on
``ssod.ops``. Inputs come from numpy's ``RandomState``, whose uniform numbers are the same on every machine.
"""

from collections.abc import Callable

import mmcv.ops
import numpy as np
import torch
from torch import Tensor

Result = dict[str, Tensor]
COMPILED: dict[str, Callable[[], Result]] = {}  # what mmcv-full's operators for CPUs can do
TIES: dict[str, Callable[[], Result]] = {}  # the same; but the order of equal scores depends on the processor
CUDA_ONLY: dict[str, Callable[[], Result]] = {}  # what they do on GPUs alone
NMS_SIZE = 60


def case(cases: dict[str, Callable[[], Result]], name: str, /, **arguments):
    """Enter a function under a name; several times for several arguments."""

    def enter(function):
        cases[name] = lambda: function(**arguments)
        return function

    return enter


def uniform(seed: int, *shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Numbers between two limits, float32, on torch's default device."""
    return torch.tensor(np.random.RandomState(seed).uniform(low, high, shape).astype(np.float32))


def boxes(seed: int, number: int, size: float = 60.0) -> Tensor:
    start = uniform(seed, number, 2, low=0, high=size * 0.6)
    return torch.cat([start, start + uniform(seed + 1, number, 2, low=1, high=size * 0.4)], dim=1)


def with_grads(output: Tensor, **leaves: Tensor) -> Result:
    """The output, and the gradients of a weighted sum of it."""
    (output.float() * uniform(9, *output.shape)).sum().backward()
    return dict(output=output.detach(), **{name: leaf.grad for name, leaf in leaves.items()})


def leaf(tensor: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    return tensor.to(dtype).requires_grad_()


# Suppression


@case(COMPILED, 'nms', iou_threshold=0.5)
@case(COMPILED, 'nms_offset', iou_threshold=0.5, offset=1)
@case(COMPILED, 'nms_score_and_number', iou_threshold=0.6, score_threshold=0.3, max_num=5)
@case(TIES, 'nms_ties', iou_threshold=0.5, levels=3)
@case(TIES, 'nms_all_equal', iou_threshold=0.3, levels=1)
@case(COMPILED, 'nms_empty', number=0, iou_threshold=0.5)
def nms(number: int = NMS_SIZE, levels: int = 10**6, **arguments) -> Result:
    scores = (uniform(2, number, low=0) * levels).ceil() / levels  # few levels: many equal scores
    dets, indices = mmcv.ops.nms(boxes(0, number), scores, **arguments)
    return dict(dets=dets, indices=indices)


@case(COMPILED, 'nms_at_the_threshold')
def nms_at_the_threshold() -> Result:
    """IoUs of exactly 0.3, 0.7 and so on in float32: they are not above a threshold of the same decimal number."""
    tall = torch.arange(1, 10)
    pairs = [torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, h]]) for h in tall]
    kept = [
        len(mmcv.ops.nms(pair, torch.tensor([0.9, 0.8]), int(h) / 10)[1]) for pair, h in zip(pairs, tall, strict=True)
    ]
    return dict(kept=torch.tensor(kept))


@case(COMPILED, 'batched_nms')
def batched_nms() -> Result:
    scores, classes = uniform(2, NMS_SIZE, low=0), torch.arange(NMS_SIZE) % 3
    dets, indices = mmcv.ops.batched_nms(boxes(0, NMS_SIZE), scores, classes, dict(type='nms', iou_threshold=0.4))
    return dict(dets=dets, indices=indices)


@case(COMPILED, 'soft_nms_naive', method='naive')
@case(COMPILED, 'soft_nms_linear', method='linear')
@case(COMPILED, 'soft_nms_gaussian', method='gaussian')
@case(COMPILED, 'soft_nms_linear_drops', method='linear', min_score=0.3, offset=1)
@case(COMPILED, 'soft_nms_gaussian_drops', method='gaussian', min_score=0.2, sigma=0.3)
@case(COMPILED, 'soft_nms_gaussian_ties', method='gaussian', min_score=0.1, levels=4)
@case(COMPILED, 'soft_nms_empty', method='linear', number=0)
def soft_nms(number: int = NMS_SIZE, levels: int = 10**6, **arguments) -> Result:
    scores = (uniform(2, number, low=0) * levels).ceil() / levels
    dets, indices = mmcv.ops.soft_nms(boxes(0, number), scores, iou_threshold=0.3, **arguments)
    return dict(dets=dets, indices=indices)


@case(COMPILED, 'nms_match')
@case(TIES, 'nms_match_ties', levels=5)
@case(COMPILED, 'nms_match_empty', number=0)
def nms_match(number: int = NMS_SIZE, levels: int = 10**6) -> Result:
    scores = (uniform(2, number, low=0) * levels).ceil() / levels
    dets = torch.cat([boxes(0, number), scores[:, None]], dim=1)
    groups = mmcv.ops.nms_match(dets, 0.4)
    sizes = torch.tensor([len(group) for group in groups])
    return dict(sizes=sizes, members=torch.cat([torch.zeros(0, dtype=torch.long), *groups]))


@case(COMPILED, 'bbox_overlaps')
@case(COMPILED, 'bbox_overlaps_iof_offset', mode='iof', offset=1)
@case(COMPILED, 'bbox_overlaps_aligned', aligned=True, second=6)
@case(COMPILED, 'bbox_overlaps_aligned_iof', aligned=True, second=6, mode='iof')
@case(COMPILED, 'bbox_overlaps_empty', second=0)
def bbox_overlaps(second: int = 9, **arguments) -> Result:
    return dict(ious=mmcv.ops.bbox_overlaps(boxes(0, 6), boxes(3, second), **arguments))


# Pooling


def rois(number: int) -> Tensor:
    """RoIs of a map (2, C, 14, 18) of stride 4: within it, partly and wholly outside, tiny, without area."""
    some = boxes(5, number)
    odd = torch.tensor(
        [[-20.0, -9, 30, 25], [50, 40, 90, 80], [200, 200, 260, 280], [8, 8, 8.5, 8.5], [20, 20, 20, 20]]
    )
    both = torch.cat([some, odd]) if number else some
    return torch.cat([(torch.arange(len(both)) % 2)[:, None].float(), both], dim=1)


@case(COMPILED, 'roi_align', sampling_ratio=0, aligned=True)
@case(COMPILED, 'roi_align_ratio_2', sampling_ratio=2, aligned=True)
@case(COMPILED, 'roi_align_not_aligned', sampling_ratio=0, aligned=False)
@case(COMPILED, 'roi_align_not_aligned_ratio_2', sampling_ratio=2, aligned=False)
@case(COMPILED, 'roi_align_no_rois', number=0, sampling_ratio=0, aligned=True)
@case(COMPILED, 'roi_align_half', sampling_ratio=2, aligned=True, dtype=torch.float16)
def roi_align(number: int = 6, dtype: torch.dtype = torch.float32, **arguments) -> Result:
    features = leaf(uniform(1, 2, 3, 14, 18), dtype)
    output = mmcv.ops.RoIAlign((3, 4), spatial_scale=0.25, **arguments)(features, rois(number).to(dtype))
    return with_grads(output, features=features)


@case(CUDA_ONLY, 'roi_pool')
@case(CUDA_ONLY, 'roi_pool_no_rois', number=0)
def roi_pool(number: int = 6) -> Result:
    features = leaf(uniform(1, 2, 3, 14, 18))
    return with_grads(mmcv.ops.RoIPool((3, 4), 0.25)(features, rois(number)), features=features)


# Convolutions

# Name: batch, channels in and out, height, width, kernel, stride, padding, dilation, groups, deformable groups.
CONVOLUTIONS = {
    'plain': (2, 4, 6, 7, 9, 3, 1, 1, 1, 1, 1),
    'groups': (3, 8, 6, 9, 8, 3, 2, 1, 1, 2, 4),
    'dilated': (1, 4, 4, 10, 9, (3, 2), (1, 2), (2, 1), (2, 1), 1, 2),
}


def convolution(name: str, dtype: torch.dtype, spread: float) -> tuple[dict[str, Tensor], tuple]:
    """Leaves, and the arguments that follow them."""
    batch, c_in, c_out, h, w, kernel, stride, pad, dilation, groups, deform_groups = CONVOLUTIONS[name]
    kernel, stride, pad, dilation = (x if isinstance(x, tuple) else (x, x) for x in (kernel, stride, pad, dilation))
    out = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip((h, w), pad, dilation, kernel, stride, strict=True)
    ]
    points = deform_groups * kernel[0] * kernel[1]
    leaves = dict(
        input=uniform(1, batch, c_in, h, w),
        offset=uniform(2, batch, 2 * points, *out) * spread,
        mask=uniform(3, batch, points, *out, low=0),
        weight=uniform(4, c_out, c_in // groups, *kernel),
        bias=uniform(5, c_out),
    )
    return {name: leaf(x, dtype) for name, x in leaves.items()}, (stride, pad, dilation, groups, deform_groups)


def deform_conv(name: str, dtype: torch.dtype = torch.float32, spread: float = 2.5) -> Result:
    leaves, geometry = convolution(name, dtype, spread)
    leaves = {key: leaves[key] for key in ('input', 'offset', 'weight')}
    return with_grads(mmcv.ops.deform_conv2d(*leaves.values(), *geometry), **leaves)


def modulated_deform_conv(
    name: str, dtype: torch.dtype = torch.float32, spread: float = 2.5, bias: bool = True
) -> Result:
    leaves, geometry = convolution(name, dtype, spread)
    if not bias:
        del leaves['bias']
    operands = [*leaves.values(), *([] if bias else [None])]
    return with_grads(mmcv.ops.modulated_deform_conv2d(*operands, *geometry), **leaves)


for _name in CONVOLUTIONS:
    case(COMPILED, f'deform_conv_{_name}', name=_name)(deform_conv)
    case(COMPILED, f'modulated_deform_conv_{_name}', name=_name)(modulated_deform_conv)
# Where training starts: all offsets are 0, and samples of the padding lie at exactly -1.
case(COMPILED, 'deform_conv_no_offset', name='plain', spread=0.0)(deform_conv)
case(COMPILED, 'modulated_deform_conv_no_offset', name='groups', spread=0.0)(modulated_deform_conv)
case(COMPILED, 'modulated_deform_conv_no_bias', name='plain', bias=False)(modulated_deform_conv)
case(COMPILED, 'deform_conv_half', name='plain', dtype=torch.float16)(deform_conv)
case(COMPILED, 'modulated_deform_conv_half', name='plain', dtype=torch.float16)(modulated_deform_conv)


@case(COMPILED, 'deform_conv_weight_alone')
def deform_conv_weight_alone() -> Result:
    leaves, geometry = convolution('plain', torch.float32, 2.5)
    weight = leaves['weight']
    output = mmcv.ops.deform_conv2d(leaves['input'].detach(), leaves['offset'].detach(), weight, *geometry)
    return with_grads(output, weight=weight)


# Attention


@case(COMPILED, 'psa_mask_collect', psa_type='collect')
@case(COMPILED, 'psa_mask_distribute', psa_type='distribute')
def psa_mask(psa_type: str) -> Result:
    masks = leaf(uniform(1, 2, 15, 4, 6))
    return with_grads(mmcv.ops.PSAMask(psa_type, (3, 5))(masks), masks=masks)
