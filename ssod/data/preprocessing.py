"""From uint8 images to the float batch that a detector is trained on, on the device where they are."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def normalize_inputs(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """A forward pre-hook for a plain model: normalize the uint8 images of the batch.

    ``model.register_forward_pre_hook(normalize_inputs, with_kwargs=True)``. A :class:`ssod.core.SemiModel` needs none.
    """
    return args, normalized(kwargs)


def normalized(batch: dict[str, Any], device: torch.device | None = None) -> dict[str, Any]:
    """The same batch with normalized images; unchanged if the pipeline has normalized them.

    Args:
        batch: ``img`` and ``img_metas``. ``img`` is (B, H, W, 3) uint8 (as our loader collates ``NormalizeOnDevice``),
            or a list of B arrays (h, w, 3) uint8 (as mmcv's collation leaves them), or anything else.
        device: where a list of arrays is needed.

    Raises:
        ValueError: uint8 images without the meta keys by which they are normalized.
    """
    img = batch.get('img')
    if isinstance(img, list) and all(isinstance(image, np.ndarray) for image in img):
        check_metas(batch['img_metas'])
        img = stack_images(img, [meta['pad_shape'] for meta in batch['img_metas']]).to(device)
    if not isinstance(img, Tensor) or img.dtype != torch.uint8:
        return batch
    check_metas(batch['img_metas'])
    return {**batch, 'img': normalize_images(img, batch['img_metas'])}


def check_metas(img_metas: Sequence[dict]) -> None:
    """Raise a ValueError if the images' metas do not say how to normalize them."""
    if missing := {'pad_shape', 'img_norm_cfg'} - img_metas[0].keys():
        raise ValueError(f'NormalizeOnDevice wants {sorted(missing)} among the meta_keys of Collect, too')


def stack_images(images: Sequence[np.ndarray], shapes: Sequence[tuple[int, ...]], out: Tensor | None = None) -> Tensor:
    """Images in one batch, zero where one ends before the batch does.

    Args:
        images: B arrays (h, w, 3) uint8.
        shapes: (h, w, ...) that each is to be padded to.
        out: (B, H, W, 3) uint8 to write into, of :func:`batch_shape`; None: a new tensor.
    """
    batch = torch.empty(batch_shape(shapes), dtype=torch.uint8) if out is None else out
    for image, place in zip(images, batch.numpy(), strict=True):
        h, w = image.shape[:2]
        place[:h, :w] = image
        place[:h, w:] = 0
        place[h:] = 0
    return batch


def batch_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, int, int, int]:
    """(B, H, W, 3) of a batch of images that are padded to the (h, w, ...) of ``shapes``."""
    height, width = (max(sides) for sides in zip(*(shape[:2] for shape in shapes), strict=True))
    return len(shapes), height, width, 3


def normalize_images(images: Tensor, img_metas: Sequence[dict]) -> Tensor:
    """Pad and normalize as mmdet's ``Pad``, ``Normalize`` and collation do, in this order.

    Args:
        images: (B, H, W, 3) uint8 BGR, zero where an image ends before the batch does.
        img_metas: of each image ``pad_shape`` (h, w, ...) and ``img_norm_cfg`` (``mean``, ``std``, ``to_rgb``).

    Returns:
        (B, 3, H, W) float32, contiguous, on the images' device: (value - mean) / std within an image's ``pad_shape``,
        where the image itself ends too; 0 beyond.
    """
    count, height, width, _ = images.shape
    batch = images.new_zeros((count, 3, height, width), dtype=torch.float32)
    for image, meta, out in zip(images, img_metas, batch, strict=True):
        h, w = meta['pad_shape'][:2]
        norm = meta['img_norm_cfg']
        mean, factor = _statistics(tuple(norm['mean'].tolist()), tuple(norm['std'].tolist()), images.device)
        channels = image[:h, :w].permute(2, 0, 1)
        out[:, :h, :w].copy_(channels.flip(0) if norm['to_rgb'] else channels).sub_(mean).mul_(factor)
    return batch


@lru_cache(maxsize=16)
def _statistics(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and 1 / std, (3, 1, 1) each. Kept: a copy to a GPU makes the CPU wait."""
    mean, std = torch.tensor([mean, std], dtype=torch.float64)[..., None, None]
    return mean.to(device, torch.float32), (1 / std).to(device, torch.float32)
