"""Random erasing, the last op of the strong view."""

from typing import Any

import numpy as np
from mmdet.datasets.builder import PIPELINES

from .compose import DrawThenApply


@PIPELINES.register_module()
class RandomErasing(DrawThenApply):
    """Overwrite rectangles of the image; boxes stay, so the student must find what is partly hidden.

    Source: Soft Teacher, Xu et al. ICCV 2021, sec. 4 (strong view), with the authors' numbers as defaults.

    Args:
        n_patches: (fewest, most) rectangles, both included.
        ratio: (low, high) side of a rectangle as a fraction of the image's side.
        squared: one ratio for both sides, so a rectangle has the image's aspect; False: one ratio for each side.
        fill: value written into every channel.
    """

    def __init__(
        self,
        n_patches: tuple[int, int] = (1, 4),
        ratio: tuple[float, float] = (0, 0.2),
        squared: bool = True,
        fill: float = 125,
    ) -> None:
        self.n_patches = n_patches
        self.ratio = ratio
        self.squared = squared
        self.fill = fill

    def draw(self, results: dict[str, Any]) -> dict[str, list[tuple[int, int, int, int]]]:
        """``patches``: one (x1, y1, x2, y2) a rectangle, in pixels of the current view, x2 and y2 not included."""
        h, w = results['img'].shape[:2]
        low, high = self.n_patches
        return dict(patches=[self._draw_patch(h, w) for _ in range(np.random.randint(low, high + 1))])

    def _draw_patch(self, h: int, w: int) -> tuple[int, int, int, int]:
        ratio_h = np.random.uniform(*self.ratio)
        ratio_w = ratio_h if self.squared else np.random.uniform(*self.ratio)
        patch_h, patch_w = int(ratio_h * h), int(ratio_w * w)
        # At least 1, so that a patch as large as the image has its one place.
        x = np.random.randint(0, max(w - patch_w, 1))
        y = np.random.randint(0, max(h - patch_h, 1))
        return x, y, x + patch_w, y + patch_h

    def apply(self, results: dict[str, Any], patches: list[tuple[int, int, int, int]]) -> dict[str, Any]:
        """Overwrite the given rectangles in a copy of every image."""
        for key in results.get('img_fields', ['img']):
            img = results[key].copy()
            for x1, y1, x2, y2 in patches:
                img[y1:y2, x1:x2] = self.fill
            results[key] = img
        return results
