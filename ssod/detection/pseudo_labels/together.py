"""The pseudo labels of all images of a batch at once, where launches are what counts."""

from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from ssod.core.hardware import launch_bound

from .projection import project_all
from .structure import PseudoLabels


def go_together(labels: Sequence[PseudoLabels]) -> bool:
    """Whether the functions here do what the labels' own methods do: not with masks, nor with fields of a task."""
    plain = all(type(own) is PseudoLabels and own.masks is None for own in labels)
    return plain and launch_bound(labels[0].bboxes.device)


def large(labels: Sequence[PseudoLabels], min_size: float) -> list[PseudoLabels]:
    """``larger_than`` of each image's labels."""
    return select(labels, larger(torch.cat([own.bboxes for own in labels]), min_size).tolist())


def larger(bboxes: Tensor, min_size: float) -> Tensor:
    """(n,) bool: of (n, 4) boxes those whose width and height both exceed ``min_size`` pixels."""
    return (bboxes[:, 2:] - bboxes[:, :2] > min_size).all(dim=1)


def select(labels: Sequence[PseudoLabels], flags: Sequence[bool]) -> list[PseudoLabels]:
    """The labels that ``flags`` names, one for each of all images' labels, image after image."""
    if all(flags):
        return list(labels)
    device, sizes, start = labels[0].bboxes.device, [], 0
    for own in labels:
        sizes.append(sum(flags[start : start + len(own)]))
        start += len(own)
    index = torch.tensor([i for i, flag in enumerate(flags) if flag], dtype=torch.int64, device=device)
    parts = {}
    for field in fields(PseudoLabels):
        values = [getattr(own, field.name) for own in labels]
        if values[0] is not None:
            parts[field.name] = torch.cat(values)[index].split(sizes)
    return [replace(own, **{name: values[i] for name, values in parts.items()}) for i, own in enumerate(labels)]


def project(labels: Sequence[PseudoLabels], matrices: Tensor, img_metas: list[dict]) -> list[PseudoLabels]:
    """``project`` of each image's labels into its view.

    Args:
        labels: of B images.
        matrices: (B, 3, 3), the labels' views -> others.
        img_metas: ``img_shape`` of these.
    """
    sizes = [len(own) for own in labels]
    boxes = project_all(torch.cat([own.bboxes for own in labels]), matrices, img_metas, sizes).split(sizes)
    return [replace(own, bboxes=moved) for own, moved in zip(labels, boxes, strict=True)]
