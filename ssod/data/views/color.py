"""Color ops of the sup and strong views, pixel for pixel as PIL does them (Soft Teacher, Xu et al. ICCV 2021, sec. 4).

Each op draws a level l, an integer (1..9 by default); those without a strength (identity, autocontrast, equalize) draw
and ignore it. Images are (H, W, 3) uint8 BGR. Where OpenCV is several times quicker than Pillow it does the work: with
a table that Pillow filled, or by an operation whose result is the same for all values.
"""

from abc import abstractmethod
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from mmdet.datasets.builder import PIPELINES
from PIL import Image, ImageEnhance, ImageOps

from .compose import DrawThenApply

VALUES = np.arange(256, dtype=np.uint8)[None]  # a picture, (1, 256), that holds every value once


class ColorOp(DrawThenApply):
    """Base of the color ops: draws the level, checks and replaces the images; boxes stay.

    Args:
        levels: (lowest, highest) level, both included.
    """

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
            img = results[key]
            if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3:
                raise ValueError(f'{type(self).__name__} wants a (H, W, 3) uint8 image, got {img.shape} {img.dtype}')
            results[key] = self.run(img, level)
        return results

    @abstractmethod
    def run(self, img: np.ndarray, level: int) -> np.ndarray:
        """The op on a (H, W, 3) uint8 BGR image, as a new array."""


@PIPELINES.register_module()
class Identity(ColorOp):
    """Leave the image as it is (a member of the choice like any other)."""

    def run(self, img: np.ndarray, level: int) -> np.ndarray:
        """The image itself, not a copy."""
        return img


@PIPELINES.register_module()
class AutoContrast(ColorOp):
    """Stretch every channel to the full range 0..255."""

    def run(self, img: np.ndarray, level: int) -> np.ndarray:
        """``ImageOps.autocontrast``, without a level."""
        return cv2.merge([self._stretch(channel) for channel in cv2.split(img)])

    def _stretch(self, channel: np.ndarray) -> np.ndarray:
        low, high, *_ = cv2.minMaxLoc(channel)
        same_range = VALUES.clip(np.uint8(low), np.uint8(high))
        return cv2.LUT(channel, np.asarray(ImageOps.autocontrast(Image.fromarray(same_range))))


@PIPELINES.register_module()
class Equalize(ColorOp):
    """Equalize the histogram of every channel."""

    def run(self, img: np.ndarray, level: int) -> np.ndarray:
        """``ImageOps.equalize``, without a level."""
        return np.array(ImageOps.equalize(Image.fromarray(img)))


@PIPELINES.register_module()
class Solarize(ColorOp):
    """Invert the values at or above min(int(25.6 l), 255): the lower the level, the stronger."""

    def run(self, img: np.ndarray, level: int) -> np.ndarray:
        """``ImageOps.solarize`` at that threshold."""
        threshold = min(int(25.6 * level), 255)
        _, inverted = cv2.threshold(img, threshold - 1, 255, cv2.THRESH_BINARY)  # 255 where above the one given
        return cv2.bitwise_xor(img, inverted)


@PIPELINES.register_module()
class Posterize(ColorOp):
    """Keep the upper 4 - int(0.4 l) bits of every value: 4 at level 1, 1 at level 9 (never fewer)."""

    def run(self, img: np.ndarray, level: int) -> np.ndarray:
        """``ImageOps.posterize`` to that many bits."""
        bits = max(4 - int(0.4 * level), 1)
        return img & np.uint8(256 - 2 ** (8 - bits))


class EnhanceOp(ColorOp):
    """Base of the ops that blend the image with a degenerate one by the factor 0.18 l + 0.1 (1 = unchanged)."""

    def run(self, img: np.ndarray, level: int) -> np.ndarray:
        """PIL's enhancer of this op at that factor."""
        return self.enhance(img, 0.18 * level + 0.1)

    @abstractmethod
    def enhance(self, img: np.ndarray, factor: float) -> np.ndarray:
        """A (H, W, 3) uint8 BGR image, ``factor`` times as far from the degenerate one."""


@PIPELINES.register_module()
class Color(EnhanceOp):
    """Saturation: blend with the gray image."""

    def enhance(self, img: np.ndarray, factor: float) -> np.ndarray:
        """``ImageEnhance.Color``."""
        return _blend(cv2.cvtColor(_grey(img), cv2.COLOR_GRAY2BGR), img, factor)


@PIPELINES.register_module()
class Contrast(EnhanceOp):
    """Contrast: blend with the mean gray."""

    def enhance(self, img: np.ndarray, factor: float) -> np.ndarray:
        """``ImageEnhance.Contrast``."""
        gray = _grey(img)
        mean = int(cv2.sumElems(gray)[0] / gray.size + 0.5)
        return cv2.LUT(img, _pil_blend(np.full_like(VALUES, mean), VALUES, factor))


@PIPELINES.register_module()
class Brightness(EnhanceOp):
    """Brightness: blend with black."""

    def enhance(self, img: np.ndarray, factor: float) -> np.ndarray:
        """``ImageEnhance.Brightness``."""
        return cv2.LUT(img, np.asarray(ImageEnhance.Brightness(Image.fromarray(VALUES)).enhance(factor)))


@PIPELINES.register_module()
class Sharpness(EnhanceOp):
    """Sharpness: blend with the smoothed image."""

    # PIL's SMOOTH. Thirteenths are never halfway between two values, so all arithmetic rounds them alike.
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13

    def enhance(self, img: np.ndarray, factor: float) -> np.ndarray:
        """``ImageEnhance.Sharpness``."""
        smooth = cv2.filter2D(img, -1, self.kernel)
        for rim in (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:]):  # which PIL leaves as it is
            smooth[rim] = img[rim]
        return _blend(smooth, img, factor)


def _grey(img: np.ndarray) -> np.ndarray:
    """(H, W) uint8 luma of a BGR image; OpenCV's has other weights in the last bit."""
    # OpenCV swaps the channels many times quicker than a reversed view is copied.
    return np.asarray(Image.fromarray(cv2.cvtColor(img, cv2.COLOR_BGR2RGB)).convert('L'))


def _blend(degenerate: np.ndarray, img: np.ndarray, factor: float) -> np.ndarray:
    """PIL's blend of two uint8 images of one shape, by OpenCV where that gives the same."""
    blend = _cv2_blend if _blends_agree(factor) else _pil_blend
    return blend(degenerate, img, factor)


def _pil_blend(degenerate: np.ndarray, img: np.ndarray, factor: float) -> np.ndarray:
    return np.array(Image.blend(Image.fromarray(degenerate), Image.fromarray(img), factor))


def _cv2_blend(degenerate: np.ndarray, img: np.ndarray, factor: float) -> np.ndarray:
    # PIL drops the fraction, OpenCV rounds. The blends are fiftieths at whole levels, and -0.49 lies between two.
    return cv2.addWeighted(img, factor, degenerate, 1 - factor, -0.49)


@lru_cache
def _blends_agree(factor: float) -> bool:
    """Whether the two blends are equal for each of the 65536 pairs of values (at 1.18 PIL's own rounding shows)."""
    degenerate, img = np.repeat(VALUES, 256, axis=0).T.copy(), np.repeat(VALUES, 256, axis=0)
    return np.array_equal(_cv2_blend(degenerate, img, factor), _pil_blend(degenerate, img, factor))
