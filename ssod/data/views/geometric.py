"""Geometric ops that keep ``results['transform_matrix']`` (original decoded image -> current view) true.

One matrix, three uses: it warps the image, moves the boxes and is recorded. All of these ops belong before ``Pad``.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import cv2
import mmcv
import numpy as np
from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import RandomFlip, Resize

from . import transform_matrix
from .compose import DrawThenApply
from .masks import warp_masks

Range = tuple[float, float]

SEG_FILL = 255  # the label that mmdet's Pad fills in and its losses ignore
FLIP_CODES = dict(horizontal=1, vertical=0, diagonal=-1)  # OpenCV's
# What has one entry for each box, and is dropped with it.
WITH_BOXES = dict(gt_bboxes=('gt_labels', 'gt_masks'), gt_bboxes_ignore=('gt_labels_ignore',))


def _view_shape(results: dict[str, Any]) -> tuple[int, int]:
    """(h, w) of the current view; ValueError if the image was padded, as image and boxes would then part."""
    shape = results['img'].shape[:2]
    if tuple(results.get('img_shape', shape)[:2]) != shape:
        raise ValueError(f'img is {shape} but img_shape is {results["img_shape"]}: put geometric ops before Pad')
    return shape


def _check_an_axis(op: DrawThenApply, x: Range | None, y: Range | None) -> None:
    if x is None and y is None:
        raise ValueError(f'{type(op).__name__} wants x, y or both, else it moves nothing')


def _draw_uniform(limits: Range | None) -> float:
    return 0.0 if limits is None else np.random.uniform(*limits)


@PIPELINES.register_module()
class ResizeWithMatrix(Resize):
    """mmdet's ``Resize``, its scale recorded in ``results['transform_matrix']``; same arguments."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize; ``results['scale_factor']`` is then this resize's own, however many went before."""
        results = super().__call__(results)
        transform_matrix.record(results, transform_matrix.scale(*results['scale_factor'][:2]))
        return results


@PIPELINES.register_module()
class FlipWithMatrix(RandomFlip):
    """mmdet's ``RandomFlip``, the flip recorded in ``results['transform_matrix']``; same arguments.

    Raises:
        ValueError: when called on a padded image, whose boxes MMDetection would flip about the wrong axis.
    """

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Flip, or not, as drawn or as ``results['flip']`` says."""
        shape = _view_shape(results)
        results = super().__call__(results)
        if results['flip']:
            direction = results['flip_direction']
            for key in results.get('img_fields', ['img']):
                # What MMDetection gives runs backwards in memory, and every later op pays for it: flipped back, which
                # costs nothing, the image is the one before.
                before = mmcv.imflip(results[key], direction)
                results[key] = cv2.flip(before, FLIP_CODES[direction]).reshape(before.shape)
            transform_matrix.record(results, transform_matrix.flip(shape, direction))
        return results


class AffineOp(DrawThenApply):
    """Base of the ops that warp a view within its own frame; a subclass draws parameters and turns them to a matrix.

    Args:
        fill: value of the pixels that the warp uncovers, in every channel.
        min_size: boxes whose width or height is not above this many pixels after the warp are dropped.
    """

    def __init__(self, fill: float = 125, min_size: float = 0) -> None:
        self.fill = fill
        self.min_size = min_size

    @abstractmethod
    def matrix(self, img_shape: tuple[int, int], **params: float) -> np.ndarray:
        """(3, 3) float32, view before -> view after, for a view of ``img_shape`` (h, w) and what ``draw`` drew."""

    def apply(self, results: dict[str, Any], **params: float) -> dict[str, Any]:
        """Warp images, segmentation maps and masks, move boxes, record the matrix.

        Raises:
            ValueError: if there is a kind of field that ``movers`` lacks, or the image was padded.
        """
        present = {kind: keys for kind, keys in results.items() if kind.endswith('_fields') and keys}
        present.setdefault('img_fields', ['img'])
        if unknown := present.keys() - self.movers.keys():
            raise ValueError(
                f'{type(self).__name__} cannot move {sorted(unknown)[0]} {present[sorted(unknown)[0]]} yet'
            )
        shape = _view_shape(results)
        matrix = self.matrix(shape, **params)
        for kind, move in self.movers.items():
            for key in present.get(kind, ()):
                move(self, results, key, matrix, shape)
        transform_matrix.record(results, matrix)
        return results

    def move_image(self, results: dict[str, Any], key: str, matrix: np.ndarray, shape: tuple[int, int]) -> None:
        """Warp an image; ``shape`` (h, w) is the view's."""
        results[key] = _warp(results[key], matrix, cv2.INTER_LINEAR, self.fill)

    def move_map(self, results: dict[str, Any], key: str, matrix: np.ndarray, shape: tuple[int, int]) -> None:
        """Warp a label map; uncovered pixels get the label that losses ignore."""
        results[key] = _warp(results[key], matrix, cv2.INTER_NEAREST, SEG_FILL)

    def move_boxes(self, results: dict[str, Any], key: str, matrix: np.ndarray, shape: tuple[int, int]) -> None:
        """Move boxes, and drop those that are too small afterwards, with their labels and masks."""
        boxes = transform_matrix.transform_boxes(results[key], matrix, shape)
        keep = np.flatnonzero((boxes[:, 2:] - boxes[:, :2] > self.min_size).all(axis=1))
        results[key] = boxes[keep]
        for follower in WITH_BOXES.get(key, ()):
            if follower in results:
                results[follower] = results[follower][keep]

    def move_masks(self, results: dict[str, Any], key: str, matrix: np.ndarray, shape: tuple[int, int]) -> None:
        """Warp instance masks; see :func:`ssod.data.views.masks.warp_masks`."""
        results[key] = warp_masks(results[key], matrix)

    # What moves each kind of field that MMDetection's loading ops name in `results`. A task adds its kinds here. Boxes
    # come before masks, so that those that go with their boxes are not warped.
    movers: ClassVar[dict[str, Callable]] = dict(
        img_fields=move_image, seg_fields=move_map, bbox_fields=move_boxes, mask_fields=move_masks
    )


def _warp(img: np.ndarray, matrix: np.ndarray, interpolation: int, fill: float) -> np.ndarray:
    h, w = img.shape[:2]
    color = img.dtype == np.uint8 and img.shape[2:] == (3,)
    # OpenCV warps each channel by itself, but four of them in half the time of three.
    source = cv2.cvtColor(img, cv2.COLOR_BGR2BGRA) if color else img
    # It reads a plain number as (fill, 0, 0, 0), and drops a last axis of length 1.
    out = cv2.warpAffine(source, matrix[:2], (w, h), flags=interpolation, borderValue=(fill,) * 4)
    return cv2.cvtColor(out, cv2.COLOR_BGRA2BGR) if color else out.reshape(img.shape)


@PIPELINES.register_module()
class RandomTranslate(AffineOp):
    """Move the view's content.

    Source: Soft Teacher, Xu et al. ICCV 2021, sec. 4 (strong view): one axis at a time, +-10%.

    Args:
        x: (low, high) fraction of the width, to the right; None: do not move along x.
        y: (low, high) fraction of the height, down; None: do not move along y.
        fill, min_size: see ``AffineOp``.

    Raises:
        ValueError: if neither x nor y is given.
    """

    def __init__(self, x: Range | None = None, y: Range | None = None, fill: float = 125, min_size: float = 0) -> None:
        _check_an_axis(self, x, y)
        super().__init__(fill, min_size)
        self.x = x
        self.y = y

    def draw(self, results: dict[str, Any]) -> dict[str, float]:
        """``x``, ``y``: fractions of width and height."""
        return dict(x=_draw_uniform(self.x), y=_draw_uniform(self.y))

    def matrix(self, img_shape: tuple[int, int], x: float = 0.0, y: float = 0.0) -> np.ndarray:
        """(3, 3) float32: a move by ``x`` of the width and ``y`` of the height."""
        h, w = img_shape
        return transform_matrix.translate(x * w, y * h)


@PIPELINES.register_module()
class RandomRotate(AffineOp):
    """Turn the view about the middle of its pixels.

    Source: Soft Teacher, Xu et al. ICCV 2021, sec. 4 (strong view): +-30 degrees.

    Args:
        angle: (low, high) degrees, clockwise positive.
        fill, min_size: see ``AffineOp``.
    """

    def __init__(self, angle: Range = (-30, 30), fill: float = 125, min_size: float = 0) -> None:
        super().__init__(fill, min_size)
        self.angle = angle

    def draw(self, results: dict[str, Any]) -> dict[str, float]:
        """``angle``: degrees, clockwise positive."""
        return dict(angle=np.random.uniform(*self.angle))

    def matrix(self, img_shape: tuple[int, int], angle: float) -> np.ndarray:
        """(3, 3) float32: a turn by ``angle`` degrees about ((w - 1) / 2, (h - 1) / 2)."""
        h, w = img_shape
        return transform_matrix.rotate(angle, ((w - 1) / 2, (h - 1) / 2))


@PIPELINES.register_module()
class RandomShear(AffineOp):
    """Shear the view about its top left corner.

    Source: Soft Teacher, Xu et al. ICCV 2021, sec. 4 (strong view): +-30 degrees along x and along y. Given both, x is
    sheared first, then y, by one warp of the product; two ops in sequence, as the authors run them, warp twice and
    lose a little more (content pushed out by the first does not come back, and pixels are interpolated twice).

    Args:
        x: (low, high) degrees of the shear along x; None: no shear along x.
        y: (low, high) degrees of the shear along y; None: no shear along y.
        factor: how an angle becomes a factor: 'tanh' (authors' code) or 'tan' (what the paper's angles mean).
        fill, min_size: see ``AffineOp``.

    Raises:
        ValueError: on any other ``factor``, or if neither x nor y is given.
    """

    def __init__(
        self,
        x: Range | None = None,
        y: Range | None = None,
        factor: str = 'tanh',
        fill: float = 125,
        min_size: float = 0,
    ) -> None:
        if factor not in ('tanh', 'tan'):
            raise ValueError(f"factor must be 'tanh' or 'tan', got {factor!r}")
        _check_an_axis(self, x, y)
        super().__init__(fill, min_size)
        self.x = x
        self.y = y
        self.factor = factor

    def draw(self, results: dict[str, Any]) -> dict[str, float]:
        """``x``, ``y``: degrees."""
        return dict(x=_draw_uniform(self.x), y=_draw_uniform(self.y))

    def matrix(self, img_shape: tuple[int, int], x: float = 0.0, y: float = 0.0) -> np.ndarray:
        """(3, 3) float32: a shear by ``x`` degrees along x, then by ``y`` degrees along y."""
        factor = np.tan if self.factor == 'tan' else np.tanh
        return transform_matrix.shear(factor(np.deg2rad(x)), factor(np.deg2rad(y)))
