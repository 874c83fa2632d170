"""Logits and label maps: a segmentor's logits at the size of its input, padding ignored, views joined in one batch."""

from collections.abc import Sequence

import torch
from mmseg.models import EncoderDecoder
from mmseg.ops import resize
from torch import Tensor, nn
from torch.nn import functional as F

IGNORE = 255


def upsampled(segmentor: EncoderDecoder, feats: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """(N, C, H, W) logits of the decode head for feature maps, at ``size`` (H, W)."""
    return resize(
        segmentor.decode_head(feats), size, mode='bilinear', align_corners=segmentor.align_corners, warning=False
    )


def logits_of(segmentor: EncoderDecoder, img: Tensor) -> Tensor:
    """(N, C, H, W) logits for images (N, 3, H, W), in the mode that the segmentor is in."""
    return upsampled(segmentor, segmentor.extract_feat(img), img.shape[2:])


def ignore_padding(labels: Tensor, img_metas: Sequence[dict]) -> Tensor:
    """A copy of label maps (N, H, W) with 255 beyond the end of each image, ``img_shape`` (h, w, ...) of its meta."""
    labels = labels.clone()
    for label, meta in zip(labels, img_metas, strict=True):
        height, width = meta['img_shape'][:2]
        label[height:] = IGNORE
        label[:, width:] = IGNORE
    return labels


def joined(tensors: Sequence[Tensor], value: float) -> Tensor:
    """Batches (N, ..., H, W) of several sizes as one; the smaller are padded with ``value`` on the right and below."""
    height, width = (max(tensor.shape[axis] for tensor in tensors) for axis in (-2, -1))
    return torch.cat([F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]), value=value) for x in tensors])


def loss_names(segmentor: EncoderDecoder) -> tuple[str, ...]:
    """Names of the losses and measures of ``segmentor.forward_train``, in its order."""
    heads = {'decode': segmentor.decode_head}
    if segmentor.with_auxiliary_head:
        aux = segmentor.auxiliary_head
        heads |= {f'aux_{i}': head for i, head in enumerate(aux)} if isinstance(aux, nn.ModuleList) else {'aux': aux}
    names = []
    for prefix, head in heads.items():
        losses = head.loss_decode if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]
        names += [f'{prefix}.{name}' for name in dict.fromkeys(loss.loss_name for loss in losses)]
        names.append(f'{prefix}.acc_seg')
    return tuple(names)


def supervised_pass(segmentor: EncoderDecoder, batch: dict) -> tuple[dict[str, Tensor], Tensor]:
    """``segmentor.forward_train`` on a labeled batch, with the logits that it computes, (N, C, H, W) at image size."""
    feats = segmentor.extract_feat(batch['img'])
    out, labels = segmentor.decode_head(feats), batch['gt_semantic_seg']
    losses = {f'decode.{name}': value for name, value in segmentor.decode_head.losses(out, labels).items()}
    if segmentor.with_auxiliary_head:
        losses |= segmentor._auxiliary_head_forward_train(feats, batch['img_metas'], labels)
    size = batch['img'].shape[2:]
    return losses, resize(out, size, mode='bilinear', align_corners=segmentor.align_corners, warning=False)
