"""Instance masks through the geometric ops: polygons stay polygons, bitmaps are warped one by one."""

from typing import Any

import cv2
import numpy as np
from mmdet.core import BitmapMasks, PolygonMasks
from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import LoadAnnotations

# mmdet's names for the masks of n objects, (n, h, w) uint8 or n lists of polygons.
Masks = BitmapMasks | PolygonMasks


@PIPELINES.register_module()
class LoadInstances(LoadAnnotations):
    """mmdet's ``LoadAnnotations`` with boxes, labels and masks; polygons stay polygons where an image has no others.

    Polygons take a fraction of the memory of bitmaps, and are drawn at the resolution of the RoI that learns them. The
    objects of an image with a run-length mask among them all become bitmaps.

    Args:
        with_seg: load the semantic map, too (``seg_prefix`` of the data set).
    """

    def __init__(self, with_seg: bool = False) -> None:
        super().__init__(with_mask=True, with_seg=with_seg)

    def _load_masks(self, results: dict[str, Any]) -> dict[str, Any]:
        self.poly2mask = not all(isinstance(mask, list) for mask in results['ann_info']['masks'])
        return super()._load_masks(results)

    def process_polygons(self, polygons: list[list[float]]) -> list[np.ndarray]:
        """The polygons with three points or more, as float64: MMDetection's resize would cut integers down."""
        return [polygon.astype(np.float64) for polygon in super().process_polygons(polygons)]


def warp_masks(masks: Masks, matrix: np.ndarray) -> Masks:
    """Warp masks within the frame of their view, as its image is warped.

    The vertices of polygons are moved as boxes are, and not clipped: what lies outside does not bend what lies inside.
    Bitmaps are warped by the nearest pixel and are 0 where the warp uncovers.

    Args:
        masks: of n objects; n may be 0.
        matrix: (3, 3) affine, view before -> view after.

    Returns:
        As many masks of the same kind and size, new arrays.
    """
    if isinstance(masks, PolygonMasks):
        moved = [[move_points(polygon, matrix) for polygon in polygons] for polygons in masks.masks]
        return PolygonMasks(moved, masks.height, masks.width)
    size = masks.width, masks.height
    warped = [cv2.warpAffine(mask, matrix[:2], size, flags=cv2.INTER_NEAREST, borderValue=0) for mask in masks.masks]
    return BitmapMasks(warped, masks.height, masks.width)


def move_points(polygon: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(2k,) x1, y1, x2, ... in pixels, moved by an affine (3, 3) matrix."""
    return (polygon.reshape(-1, 2) @ matrix[:2, :2].T.astype(np.float64) + matrix[:2, 2]).ravel()
