"""Background of a dense head weighted by the teacher's trust in it: Soft Teacher's idea (section 3.2), point by point.

Ours: for dense heads there is no published form.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.models import ATSSHead, FCOSHead, FocalLoss, GFLHead, QualityFocalLoss
from mmdet.models.dense_heads.anchor_head import AnchorHead
from torch import Tensor, nn
from torch.nn import functional as F

# Losses of heads that hand all points to `loss_cls`, level after level, image after image in each.
LOSSES = (AnchorHead.loss, FCOSHead.loss, ATSSHead.loss, GFLHead.loss)


def weighs_points(detector: nn.Module) -> bool:
    """Whether the classification loss of a detector's dense head can be weighted point by point."""
    head = getattr(detector, 'bbox_head', None)
    fitting = isinstance(getattr(head, 'loss_cls', None), (FocalLoss, QualityFocalLoss))
    return fitting and type(head).loss in LOSSES


def background_weights(
    head: nn.Module, teacher_scores: Sequence[Tensor], matrices: Tensor, sizes: Sequence[tuple[int, int]]
) -> Tensor:
    """How sure the teacher is that there is no object at the student's points: one minus its highest class score there.

    A point of the student lies in the teacher's view where the matrix says, and on the level whose stride is nearest to
    its own times the scale between the views: so it sees objects of the same size.

    Args:
        head: of either model.
        teacher_scores: of each level (B, A * C, H, W), before the sigmoid.
        matrices: (B, 3, 3), student's view -> teacher's view.
        sizes: (h, w) of each level of the student.

    Returns:
        (n,) in [0, 1], of all points, level after level; 1 outside the teacher's view.
    """
    classes, generator = head.cls_out_channels, head.prior_generator
    foreground = [level.float().unflatten(1, (-1, classes)).sigmoid().amax(dim=2) for level in teacher_scores]
    strides = [stride[0] if isinstance(stride, (tuple, list)) else stride for stride in generator.strides]
    offset = getattr(generator, 'center_offset', getattr(generator, 'offset', 0.0))
    scales = torch.linalg.det(matrices[:, :2, :2].double()).abs().sqrt().log2().tolist()
    log_strides = torch.tensor(strides).double().log2()
    weights = []
    for stride, log_stride, (height, width) in zip(strides, log_strides, sizes, strict=True):
        x, y = (torch.arange(n, device=matrices.device) for n in (width, height))
        grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1).float()
        points = (grid + offset) * stride
        for image, (matrix, scale) in enumerate(zip(matrices, scales, strict=True)):
            level = int((log_strides - log_stride - scale).abs().argmin())
            seen = foreground[level][image : image + 1]
            places = (points @ matrix[:2, :2].T + matrix[:2, 2]) / strides[level] - offset
            weights.append(1 - sample(seen, places).movedim(0, -1).flatten())
    return torch.cat(weights)


def sample(maps: Tensor, places: Tensor) -> Tensor:
    """Values of maps (1, A, H, W) at places (h, w, 2), x and y in cells, between them linear: (A, h, w), 0 outside."""
    size = places.new_tensor([maps.shape[-1], maps.shape[-2]])
    return F.grid_sample(maps, ((2 * places + 1) / size - 1)[None], align_corners=False)[0]


class WeightedBackground(nn.Module):
    """A classification loss whose background counts by given weights.

    Args:
        loss: ``FocalLoss`` or ``QualityFocalLoss``.
        weights: (n,) of all points, in the order in which the head asks.
        num_classes: the label of background.
    """

    def __init__(self, loss: nn.Module, weights: Tensor, num_classes: int) -> None:
        super().__init__()
        self.loss, self.weights, self.num_classes, self.used = loss, weights, num_classes, 0

    def forward(self, pred: Tensor, target: Any, weight: Tensor | None = None, **kwargs: Any) -> Tensor:
        """The loss of the next ``len(pred)`` points."""
        own = self.weights[self.used : self.used + len(pred)]
        self.used += len(pred)
        labels = target[0] if isinstance(target, tuple) else target
        own = torch.where(labels == self.num_classes, own, 1.0)
        return self.loss(pred, target, own if weight is None else weight * own, **kwargs)


@contextmanager
def weighted_background(head: nn.Module, weights: Tensor) -> Iterator[None]:
    """Within it, the head's classification loss counts background by the (n,) weights of all its points."""
    plain = head.loss_cls
    head.loss_cls = WeightedBackground(plain, weights, head.num_classes)
    try:
        yield
    finally:
        head.loss_cls = plain
