"""Two views of the same images: which belong together, and the matrix from one to the other (section 3.1)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

# One branch of a batch: an ordinary batch with `img`, `img_metas` and, where labeled, the task's labels.
Batch = dict[str, Any]


def in_order_of(batch: Batch, img_metas: list[dict]) -> Batch:
    """``img`` and ``img_metas`` of ``batch`` in the order in which ``img_metas`` names the same files.

    A file that a batch holds twice is paired occurrence by occurrence.

    Raises:
        ValueError: the two views do not show the same files.
    """
    source = [meta['filename'] for meta in batch['img_metas']]
    target = [meta['filename'] for meta in img_metas]
    if source == target:
        return batch
    if sorted(source) != sorted(target):
        raise ValueError(f'unsup_teacher and unsup_student show different images: {source} and {target}')
    by_name = sorted(range(len(source)), key=source.__getitem__)
    order = [0] * len(target)
    for position, index in zip(sorted(range(len(target)), key=target.__getitem__), by_name, strict=True):
        order[position] = index
    index = torch.tensor(order, device=batch['img'].device)
    return dict(img=batch['img'][index], img_metas=[batch['img_metas'][i] for i in order])


def first_image(batch: Batch) -> Batch:
    """``img`` and ``img_metas`` of a batch's first image, as a batch."""
    return dict(img=batch['img'][:1], img_metas=batch['img_metas'][:1])


def view_to_view(source_metas: list[dict], target_metas: list[dict], device: torch.device) -> Tensor:
    """Matrices that take points of the source view to the target view of the same images.

    Args:
        source_metas, target_metas: B image metas each, in the same order of images; ``transform_matrix`` is (3, 3),
            original image -> view.
        device: where the result is needed.

    Returns:
        (B, 3, 3) float32: ``target @ inv(source)``. Inverted on the CPU, copied to the device at once.
    """
    source = np.stack([meta['transform_matrix'] for meta in source_metas]).astype(np.float64)
    target = np.stack([meta['transform_matrix'] for meta in target_metas]).astype(np.float64)
    return torch.from_numpy(target @ np.linalg.inv(source)).float().to(device)
