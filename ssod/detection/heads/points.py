"""A dense head's outputs as rows, one a point: what Dense Teacher asks of FCOS, ATSS and GFL."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.core import distance2bbox
from mmdet.models import ATSSHead, FCOSHead, GFLHead
from torch import Tensor, nn

# Heads whose outputs are read here -> the name of their third loss.
THIRD_LOSS = {FCOSHead: 'loss_centerness', ATSSHead: 'loss_centerness', GFLHead: 'loss_dfl'}


class Points(NamedTuple):
    """What a head says of the N points of B images, image after image, level after level in each.

    Attributes:
        logits: (N, C), before the sigmoid.
        bboxes: (N, 4), xyxy in pixels of the view.
        quality: (N,), centerness before the sigmoid; None of GFL, whose class scores are the quality.
        sides: (N, 4, bins), the distribution of each side's distance before the softmax; None but of GFL.
    """

    logits: Tensor
    bboxes: Tensor
    quality: Tensor | None = None
    sides: Tensor | None = None


def kind_of(detector: nn.Module) -> type[nn.Module]:
    """The class of :data:`THIRD_LOSS` that a detector's head is of.

    Raises:
        TypeError: of none, or its losses are its own.
    """
    head = getattr(detector, 'bbox_head', None)
    for kind in THIRD_LOSS:
        if isinstance(head, kind) and type(head).loss is kind.loss:
            return kind
    fitting = ', '.join(kind.__name__ for kind in THIRD_LOSS)
    name = type(head or detector).__name__
    raise TypeError(f'DenseTeacher reads the points of {fitting}, not of a {name}: take MeanTeacher')


def points_of(detector: nn.Module, img: Tensor) -> Points:
    """Pass images (B, 3, H, W) through a detector; its head's outputs at all points, in float32."""
    head, kind = detector.bbox_head, kind_of(detector)
    outs = head(detector.extract_feat(img))
    sizes = [level.shape[-2:] for level in outs[0]]
    priors = head.prior_generator.grid_priors(sizes, dtype=torch.float32, device=img.device)
    strides = [stride[0] if isinstance(stride, (tuple, list)) else stride for stride in head.prior_generator.strides]
    logits, deltas = rows(outs[0], head.cls_out_channels), rows(outs[1], outs[1][0].shape[1])
    stride = torch.cat([prior.new_full((len(prior), 1), s) for prior, s in zip(priors, strides, strict=True)])
    stride, priors = stride.repeat(len(img), 1), torch.cat(priors).repeat(len(img), 1)
    if kind is ATSSHead:
        return Points(logits, head.bbox_coder.decode(priors, deltas), rows(outs[2], 1)[:, 0])
    if kind is GFLHead:
        centers = (priors[:, :2] + priors[:, 2:]) / 2
        return Points(
            logits, distance2bbox(centers, head.integral(deltas) * stride), sides=deltas.unflatten(1, (4, -1))
        )
    if head.norm_on_bbox and head.training:  # else FCOS has multiplied by the stride itself
        deltas = deltas * stride
    return Points(logits, distance2bbox(priors, deltas), rows(outs[2], 1)[:, 0])


def rows(levels: Sequence[Tensor], channels: int) -> Tensor:
    """Maps (B, A * channels, H, W) of each level as (B * all points, channels), image after image, in float32."""
    flat = [level.float().permute(0, 2, 3, 1).reshape(len(level), -1, channels) for level in levels]
    return torch.cat(flat, dim=1).flatten(0, 1)
