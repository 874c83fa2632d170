"""3x3 matrices of the geometric ops, and what they do to boxes.

A matrix acts on columns (x, y, 1) in pixels, x to the right and y down. ``results['transform_matrix']`` maps the
original decoded image to the current view, so a box goes from view A to view B by ``T_B @ inv(T_A)``
(Soft Teacher, Xu et al. ICCV 2021, sec. 3: pseudo boxes are found in the weak view and used in the strong one).

Boxes measure from the image's edge (the image spans [0, w] x [0, h], as mmdet clips and flips them), OpenCV's warp
measures from the center of the first pixel. Scale, flip and translate agree with both; rotate and shear use one matrix
for both, as mmdet's own ops do, which parts image and boxes by half a pixel at most along x or y, at 30 degrees.
"""

from typing import Any

import cv2
import numpy as np


def identity() -> np.ndarray:
    """The (3, 3) float32 matrix that moves nothing."""
    return np.eye(3, dtype=np.float32)


def scale(x: float, y: float) -> np.ndarray:
    """(3, 3) float32 matrix that multiplies x and y by their own factor, about the image's top left corner."""
    return np.diag([x, y, 1]).astype(np.float32)


def flip(img_shape: tuple[int, ...], direction: str) -> np.ndarray:
    """Mirror an image of ``img_shape`` (h, w, ...): x -> w - x, y -> h - y, as mmdet's ``RandomFlip.bbox_flip``.

    Args:
        img_shape: (h, w, ...) in pixels of the view to be flipped.
        direction: 'horizontal', 'vertical' or 'diagonal' (both).

    Returns:
        (3, 3) float32.

    Raises:
        ValueError: on any other direction.
    """
    if direction not in ('horizontal', 'vertical', 'diagonal'):
        raise ValueError(f"direction must be 'horizontal', 'vertical' or 'diagonal', got {direction!r}")
    matrix = identity()
    if direction != 'vertical':
        matrix[0] = (-1, 0, img_shape[1])
    if direction != 'horizontal':
        matrix[1] = (0, -1, img_shape[0])
    return matrix


def translate(x: float, y: float) -> np.ndarray:
    """(3, 3) float32 matrix that moves points by ``x`` pixels to the right and ``y`` pixels down."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float32)


def rotate(angle: float, center: tuple[float, float]) -> np.ndarray:
    """(3, 3) float32 matrix that turns by ``angle`` degrees, clockwise positive as seen, about ``center`` (x, y)."""
    # OpenCV counts counter-clockwise.
    top = cv2.getRotationMatrix2D(center, -angle, 1)
    return np.vstack([top, (0, 0, 1)]).astype(np.float32)


def shear(x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Shear about the top left corner, along x first, then along y.

    Args:
        x: factor of x <- x + factor * y.
        y: factor of y <- y + factor * x, with the x already sheared.

    Returns:
        (3, 3) float32.
    """
    return np.array([[1, x, 0], [y, 1 + x * y, 0], [0, 0, 1]], dtype=np.float32)


def record(results: dict[str, Any], matrix: np.ndarray) -> None:
    """Note in ``results`` that ``matrix`` was applied to the current view.

    Left-multiplies ``results['transform_matrix']`` (identity if missing), which stays (3, 3) float32, original decoded
    image -> current view, and is replaced, never written into.
    """
    before = results.get('transform_matrix', identity())
    results['transform_matrix'] = (matrix.astype(np.float64) @ before).astype(np.float32)


def transform_boxes(boxes: np.ndarray, matrix: np.ndarray, img_shape: tuple[int, ...]) -> np.ndarray:
    """Move boxes to another view: the axis-aligned hull of the four moved corners, clipped to that view.

    Args:
        boxes: (N, 4) xyxy in pixels of the view ``matrix`` starts from; N may be 0.
        matrix: (3, 3) affine (last row 0, 0, 1).
        img_shape: (h, w, ...) in pixels of the view ``matrix`` leads to.

    Returns:
        (N, 4) float32 xyxy, a new array; boxes that left the view have no width or no height.
    """
    h, w = img_shape[:2]
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:2, :2].T.astype(np.float64) + matrix[:2, 2]
    hull = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
    return hull.clip(0, (w, h, w, h)).astype(np.float32)
