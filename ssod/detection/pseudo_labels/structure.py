"""The pseudo labels of one image."""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .projection import project_boxes


@dataclass(frozen=True)
class PseudoLabels:
    """n boxes that the teacher found on one image.

    A task that needs more derives from it: a field with one row per box is selected like the others; a field with a
    place in the view overrides :meth:`project`.

    Attributes:
        bboxes: (n, 4) xyxy in pixels of one view; :meth:`project` moves them to another.
        labels: (n,) int64 class indices.
        scores: (n,) class scores of the teacher, in [0, 1].
        reg_variance: (n,) box regression variance (section 3.3), relative to the box size; None unless a filter asks.
        foreground_scores: (n,) the teacher's probability that the box holds an object of any class, in [0, 1].
        masks: (n, S, S) the teacher's probability that a pixel belongs to the object, over ``mask_boxes``; None of a
            detector without masks, as the two below.
        mask_boxes: (n, 4) xyxy in pixels of the view that the masks were found in; :meth:`project` leaves them there.
        mask_matrices: (n, 3, 3), that view -> the present view.
    """

    bboxes: Tensor
    labels: Tensor
    scores: Tensor
    reg_variance: Tensor | None = None
    foreground_scores: Tensor | None = None
    masks: Tensor | None = None
    mask_boxes: Tensor | None = None
    mask_matrices: Tensor | None = None

    def __len__(self) -> int:
        return len(self.bboxes)

    def __getitem__(self, index: Tensor | slice) -> 'PseudoLabels':
        """The labels that ``index``, a (n,) bool mask, (k,) int64 indices or a slice, selects."""
        if isinstance(index, Tensor) and index.dtype == torch.bool:
            index = index.nonzero().flatten()  # a GPU makes the host wait here, once, and not for each field
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[index] for name, value in values.items() if value is not None})

    def with_variance(self, reg_variance: Tensor, bboxes: Tensor | None = None) -> 'PseudoLabels':
        """The same labels with their (n,) regression variance and, where given, other boxes (n, 4)."""
        return replace(self, reg_variance=reg_variance, bboxes=self.bboxes if bboxes is None else bboxes)

    def with_masks(self, masks: Tensor) -> 'PseudoLabels':
        """The same labels with masks (n, S, S) that were found in the present view, each over its box."""
        matrices = torch.eye(3, device=masks.device).expand(len(masks), 3, 3)
        return replace(self, masks=masks, mask_boxes=self.bboxes, mask_matrices=matrices)

    def project(self, matrix: Tensor, img_shape: tuple) -> 'PseudoLabels':
        """The same labels in another view: boxes as :func:`project_boxes`; a mask stays, and knows the way from it."""
        matrices = None if self.mask_matrices is None else matrix @ self.mask_matrices
        return replace(self, bboxes=project_boxes(self.bboxes, matrix, img_shape), mask_matrices=matrices)

    def larger_than(self, min_size: float) -> 'PseudoLabels':
        """The labels whose width and height both exceed ``min_size`` pixels of the present view."""
        sides = self.bboxes[:, 2:] - self.bboxes[:, :2]
        return self[(sides > min_size).all(dim=1)]


class LabeledView(NamedTuple):
    """One view of an image, to look at.

    Attributes:
        img: (3, H, W), normalized.
        img_meta: of the view.
        labels: n pseudo boxes, in pixels of the view.
        masks: (n, h, w) bool or uint8, in the view before padding, of labels that do not hold the teacher's; or None.
    """

    img: Tensor
    img_meta: dict
    labels: PseudoLabels
    masks: np.ndarray | None = None
