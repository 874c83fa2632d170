"""Colour ops of the sup and strong views, exactly as PIL does them (Soft Teacher, Xu et al. ICCV 2021, sec. 4).

Each op draws a level l, an integer (1..9 by default); those without a strength (identity, autocontrast, equalize) draw
and ignore it. Images are (H, W, 3) uint8 BGR; only ops that mix the channels pay for a swap to RGB and back, the others
give the same result either way.
"""

from abc import abstractmethod
from typing import Any

import cv2
import numpy as np
from mmdet.datasets.builder import PIPELINES
from PIL import Image, ImageEnhance, ImageOps

from .compose import DrawThenApply


class ColourOp(DrawThenApply):
    """Base of the colour ops: draws the level, carries the images to PIL and back; boxes stay.

    Args:
        levels: (lowest, highest) level, both included.
    """

    mixes_channels = False

    def __init__(self, levels: tuple[int, int] = (1, 9)) -> None:
        self.levels = levels

    def draw(self, results: dict[str, Any]) -> dict[str, int]:
        """``level``: an integer."""
        low, high = self.levels
        return dict(level=np.random.randint(low, high + 1))

    def apply(self, results: dict[str, Any], level: int) -> dict[str, Any]:
        """Replace every image by the op's result.

        Raises:
            ValueError: if an image is not (H, W, 3) uint8.
        """
        for key in results.get('img_fields', ['img']):
            results[key] = self._run(results[key], level)
        return results

    def _run(self, img: np.ndarray, level: int) -> np.ndarray:
        if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3:
            raise ValueError(f'{type(self).__name__} wants a (H, W, 3) uint8 image, got {img.shape} {img.dtype}')
        if not self.mixes_channels:
            return np.array(self.pil(Image.fromarray(img), level))
        # OpenCV swaps the channels many times quicker than a reversed view is copied.
        out = self.pil(Image.fromarray(cv2.cvtColor(img, cv2.COLOR_BGR2RGB)), level)
        return cv2.cvtColor(np.asarray(out), cv2.COLOR_RGB2BGR)

    @abstractmethod
    def pil(self, image: Image.Image, level: int) -> Image.Image:
        """The op on a three-channel PIL image (RGB order where ``mixes_channels``)."""


@PIPELINES.register_module()
class Identity(ColourOp):
    """Leave the image as it is (a member of the choice like any other)."""

    def apply(self, results: dict[str, Any], level: int) -> dict[str, Any]:
        """Give ``results`` back."""
        return results

    def pil(self, image: Image.Image, level: int) -> Image.Image:
        """The image itself."""
        return image


@PIPELINES.register_module()
class AutoContrast(ColourOp):
    """Stretch every channel to the full range 0..255."""

    def pil(self, image: Image.Image, level: int) -> Image.Image:
        """``ImageOps.autocontrast``, without a level."""
        return ImageOps.autocontrast(image)


@PIPELINES.register_module()
class Equalize(ColourOp):
    """Equalise the histogram of every channel."""

    def pil(self, image: Image.Image, level: int) -> Image.Image:
        """``ImageOps.equalize``, without a level."""
        return ImageOps.equalize(image)


@PIPELINES.register_module()
class Solarize(ColourOp):
    """Invert the values at or above min(int(25.6 l), 255): the lower the level, the stronger."""

    def pil(self, image: Image.Image, level: int) -> Image.Image:
        """``ImageOps.solarize`` at that threshold."""
        return ImageOps.solarize(image, min(int(25.6 * level), 255))


@PIPELINES.register_module()
class Posterize(ColourOp):
    """Keep the upper 4 - int(0.4 l) bits of every value: 4 at level 1, 1 at level 9 (never fewer)."""

    def pil(self, image: Image.Image, level: int) -> Image.Image:
        """``ImageOps.posterize`` to that many bits."""
        return ImageOps.posterize(image, max(4 - int(0.4 * level), 1))


class EnhanceOp(ColourOp):
    """Base of the ops that blend the image with a degenerate one by the factor 0.18 l + 0.1 (1 = unchanged)."""

    enhancer: type

    def pil(self, image: Image.Image, level: int) -> Image.Image:
        """PIL's enhancer of this op at that factor."""
        return self.enhancer(image).enhance(0.18 * level + 0.1)


@PIPELINES.register_module()
class Color(EnhanceOp):
    """Saturation: blend with the grey image."""

    enhancer = ImageEnhance.Color
    mixes_channels = True


@PIPELINES.register_module()
class Contrast(EnhanceOp):
    """Contrast: blend with the mean grey."""

    enhancer = ImageEnhance.Contrast
    mixes_channels = True


@PIPELINES.register_module()
class Brightness(EnhanceOp):
    """Brightness: blend with black."""

    enhancer = ImageEnhance.Brightness


@PIPELINES.register_module()
class Sharpness(EnhanceOp):
    """Sharpness: blend with the smoothed image."""

    enhancer = ImageEnhance.Sharpness
