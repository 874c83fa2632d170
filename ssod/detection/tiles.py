"""Detections on the tiles of an image as detections on the image: each object once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools import mask as rle
from torch import nn
from torchvision.ops import batched_nms

from ssod.core.prediction import Prediction
from ssod.core.tiles import Window
from ssod.data.labels.masks import encode

BORDER = 0.02  # of a tile's side: a box that comes so close to where the image goes on may be a part of an object
IOU = 0.5  # of a detector that has no NMS


@dataclass
class Rows:
    """n boxes.

    Attributes:
        boxes: (n, 4) float32 xyxy in pixels of the image.
        scores: (n,) float32.
        labels: (n,) int64.
        tiles: (n,) int64 number of the tile that each was found on.
        masks: n masks as run lengths on the image; None of a detector without.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    tiles: np.ndarray
    masks: list[dict[str, Any]] | None

    def __getitem__(self, keep: np.ndarray) -> 'Rows':
        """Those of an index, or of a bool mask."""
        numbers = np.arange(len(self.boxes))[keep]
        masks = None if self.masks is None else [self.masks[i] for i in numbers]
        return Rows(self.boxes[keep], self.scores[keep], self.labels[keep], self.tiles[keep], masks)


def join(
    model: nn.Module,
    outputs: Iterable[Any],
    windows: Sequence[Window],
    size: tuple[int, int],
    score_thr: float,
) -> Prediction:
    """See :meth:`ssod.core.Task.join`.

    Where there are several tiles a box at the border of its tile goes if one of another tile has most of it, for that
    tile sees more of the object; then NMS class by class over all, at the IoU of the detector's own. Both matter: a
    part has a small IoU with its whole.
    """
    found = [
        rows_of(output, tile, window, size, score_thr)
        for tile, (output, window) in enumerate(zip(outputs, windows, strict=True))
    ]
    masks = None if any(one.masks is None for one in found) else [mask for one in found for mask in one.masks]
    parts = [[getattr(one, name) for one in found] for name in ('boxes', 'scores', 'labels', 'tiles')]
    rows = Rows(*map(np.concatenate, parts), masks)
    if len(windows) > 1:
        iou = iou_threshold(model)
        rows = rows[~is_part(rows, windows, size, iou)]
        tensors = (torch.from_numpy(value) for value in (rows.boxes, rows.scores, rows.labels))
        rows = rows[batched_nms(*tensors, iou).numpy()]
    rows = rows[np.argsort(-rows.scores, kind='stable')]
    names = [model.CLASSES[label] for label in rows.labels]
    return Prediction(size, rows.boxes, rows.scores, rows.labels, names, rows.masks)


def rows_of(output: Any, tile: int, window: Window, size: tuple[int, int], score_thr: float) -> Rows:
    """MMDetection's result on a tile, for each class an (n, 5) array, or these and masks, as rows on the image.

    Masks become run lengths at once: those of all tiles would fill the memory.
    """
    boxes, masks = output if isinstance(output, tuple) else (output, None)
    masks = masks[0] if isinstance(masks, tuple) else masks  # Mask Scoring R-CNN's come with their scores
    rows = np.concatenate(boxes).astype(np.float32, copy=False).reshape(-1, 5)
    labels = np.repeat(np.arange(len(boxes)), [len(own) for own in boxes])
    keep = np.flatnonzero(rows[:, 4] >= score_thr)
    shift = np.array([window.x1, window.y1] * 2, np.float32)
    codes = None
    if masks is not None:
        flat = [mask for own in masks for mask in own]
        codes = [placed(np.asarray(flat[i], bool), window, size) for i in keep]
    return Rows(rows[keep, :4] + shift, rows[keep, 4], labels[keep], np.full(len(keep), tile), codes)


def iou_threshold(model: nn.Module) -> float:
    """At which the detector's own NMS takes two boxes for one object."""
    test = getattr(model, 'predictor', model).test_cfg or {}
    nms = (test.get('rcnn') or test).get('nms') or {}
    return float(nms.get('iou_threshold', IOU))


def is_part(rows: Rows, windows: Sequence[Window], size: tuple[int, int], share: float) -> np.ndarray:
    """(n,) bool: boxes that end at the border of their tile, and lie in a larger box of their class on another tile.

    Args:
        rows: of all tiles.
        windows: the tiles.
        size: (height, width) of the image, at whose own borders a box may end.
        share: of its area that has to lie in the other.
    """
    tiles = np.array(windows, np.float32)[rows.tiles]
    near = BORDER * np.stack([tiles[:, 2] - tiles[:, 0], tiles[:, 3] - tiles[:, 1]], axis=1)
    inner = np.concatenate([tiles[:, :2] > 0, tiles[:, 2:] < [size[1], size[0]]], axis=1)
    cut = (inner & (np.abs(rows.boxes - tiles) <= np.tile(near, 2))).any(axis=1)
    areas = np.prod(rows.boxes[:, 2:] - rows.boxes[:, :2], axis=1)
    part = np.zeros(len(rows.boxes), bool)
    for i in np.flatnonzero(cut):
        others = (rows.labels == rows.labels[i]) & (rows.tiles != rows.tiles[i]) & (areas > areas[i])
        low = np.maximum(rows.boxes[others, :2], rows.boxes[i, :2])
        high = np.minimum(rows.boxes[others, 2:], rows.boxes[i, 2:])
        part[i] = (np.prod((high - low).clip(min=0), axis=1) > share * areas[i]).any()
    return part


def placed(mask: np.ndarray, window: Window, size: tuple[int, int]) -> dict[str, Any]:
    """A tile's mask (h, w) as run lengths on an image of (height, width), of which no array is made."""
    if mask.shape == size:
        return encode(mask)
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    columns, rows = np.nonzero(mask[top : top + height, left : left + width].T)  # run lengths go down the columns
    pixels = (columns + left + window.x1) * size[0] + rows + top + window.y1
    ends = np.flatnonzero(np.diff(pixels, prepend=-2, append=size[0] * size[1] + 1) > 1)
    first, last = pixels[ends[:-1]], pixels[ends[1:] - 1] + 1
    counts = np.diff(np.stack([first, last], axis=1).reshape(-1), prepend=0, append=size[0] * size[1]).tolist()
    code = rle.frPyObjects(dict(size=list(size), counts=counts if counts[-1] else counts[:-1]), *size)
    return dict(size=list(size), counts=code['counts'].decode())
