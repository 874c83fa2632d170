"""Label maps of an image from the class probabilities of its tiles: the class of the highest mean."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ssod.core.prediction import Prediction
from ssod.core.tiles import Window


@torch.no_grad()
def outputs(model: nn.Module, batch: dict) -> Tensor:
    """See :meth:`ssod.core.Task.outputs`: (N, C, H, W) class probabilities, the mean of a test's scales and flips.

    A segmentor of one channel tells two classes apart: its probability is moved so that its threshold is at 0.5.
    """
    views = [model.inference(img, metas, True) for img, metas in zip(batch['img'], batch['img_metas'], strict=True)]
    mean = sum(views[1:], views[0]) / len(views)
    if mean.shape[1] > 1:
        return mean
    second = mean + 0.5 - getattr(model, 'predictor', model).decode_head.threshold
    return torch.cat([1 - second, second], dim=1)


def join(
    model: nn.Module, parts: Iterable[Tensor], windows: Sequence[Window], size: tuple[int, int], score_thr: float
) -> Prediction:
    """See :meth:`ssod.core.Task.join`; ``score_thr`` is for boxes.

    The sums are kept of one row of tiles at a time: those of a whole large image would fill the memory.
    """
    labels, scores = np.zeros(size, np.uint8), np.zeros(size, np.float32)
    sums, top = torch.zeros(0), 0

    def settle(sums: Tensor) -> None:
        """Write the classes of rows that no tile below has."""
        best, own = (value.cpu().numpy() for value in sums.max(dim=0))
        labels[top : top + len(own)] = own
        scores[top : top + len(own)] = best / sums.sum(dim=0).cpu().numpy()  # as often as a tile has the pixel

    for part, (x1, y1, x2, y2) in zip(parts, windows, strict=True):
        if not sums.numel():
            sums = part.new_zeros(len(part), y2 - y1, size[1])
        if y1 > top:
            settle(sums[:, : y1 - top])
            sums = torch.cat([sums[:, y1 - top :], torch.zeros_like(sums[:, : y1 - top])], dim=1)
            top = y1
        sums[:, :, x1:x2] += part
    settle(sums)
    return Prediction.of_map(labels, scores, model.CLASSES)
