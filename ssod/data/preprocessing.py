"""From uint8 images to the float batch that a detector is trained on, on the device where they are."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn


def normalize_inputs(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """A forward pre-hook: normalise the uint8 images of a batch, and of each batch that is an argument of its own.

    ``model.register_forward_pre_hook(normalize_inputs, with_kwargs=True)`` serves a plain detector, which is called
    with ``img`` and ``img_metas``, and a ``SemiBaseDetector``, called with a batch for each branch.
    """
    kwargs = {name: normalized(value) if isinstance(value, dict) else value for name, value in kwargs.items()}
    return args, normalized(kwargs)


def normalized(batch: dict[str, Any]) -> dict[str, Any]:
    """The same batch with normalised images; unchanged if they are no uint8 tensor (normalised in the pipeline)."""
    img = batch.get('img')
    if not isinstance(img, Tensor) or img.dtype != torch.uint8:
        return batch
    return {**batch, 'img': normalize_images(img, batch['img_metas'])}


def normalize_images(images: Tensor, img_metas: Sequence[dict]) -> Tensor:
    """Pad and normalise as mmdet's ``Pad``, ``Normalize`` and collation do, in this order.

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
    """Mean and 1 / std, (3, 1, 1) each. Kept: a copy to a GPU makes the host wait."""
    mean, std = torch.tensor([mean, std], dtype=torch.float64)[..., None, None]
    return mean.to(device, torch.float32), (1 / std).to(device, torch.float32)
