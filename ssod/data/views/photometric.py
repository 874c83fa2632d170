"""Ops of Dense Teacher's strong view (Zhou et al., ECCV 2022, and its code): color, gray, blur, noise; boxes stay.

As torchvision and Pillow do them, on (H, W, 3) uint8 BGR images; every draw is from numpy's global generator.
"""

import math
from abc import abstractmethod
from typing import Any

import numpy as np
from mmdet.datasets.builder import PIPELINES
from PIL import Image, ImageFilter
from torchvision.transforms import functional as T

from .compose import DrawThenApply


class SometimesOp(DrawThenApply):
    """Base of ops that are applied with a probability.

    Args:
        prob: of applying the op.
    """

    def __init__(self, prob: float) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'{type(self).__name__}: prob is in [0, 1], got {prob}')
        self.prob = prob

    def draw(self, results: dict[str, Any]) -> dict[str, Any]:
        """``params``: of one application, or None."""
        return dict(params=self.draw_params(results['img'].shape) if np.random.random() < self.prob else None)

    def apply(self, results: dict[str, Any], params: dict[str, Any] | None) -> dict[str, Any]:
        """Replace every image by the op's result, unless ``params`` is None."""
        for key in results.get('img_fields', ['img']) if params is not None else ():
            results[key] = self.run(results[key], **params)
        return results

    @abstractmethod
    def draw_params(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Keyword arguments of :meth:`run` for an image of this shape."""

    @abstractmethod
    def run(self, img: np.ndarray, **params: Any) -> np.ndarray:
        """The op on a (H, W, 3) uint8 BGR image, as a new array."""


def to_pil(img: np.ndarray) -> Image.Image:
    """BGR array to RGB picture."""
    return Image.fromarray(np.ascontiguousarray(img[..., ::-1]))


def from_pil(picture: Image.Image) -> np.ndarray:
    """RGB picture to BGR array."""
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


@PIPELINES.register_module()
class JitterColor(SometimesOp):
    """torchvision's ``ColorJitter``: brightness, contrast, saturation and hue, in an order that is drawn.

    Args:
        brightness, contrast, saturation: each factor is drawn from 1 - value to 1 + value.
        hue: the shift is drawn from -value to value, of a full turn.
        prob: of applying the op.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        prob: float = 0.8,
    ) -> None:
        super().__init__(prob)
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def draw_params(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """``order`` of the four, and their ``factors``."""
        around_one = (self.brightness, self.contrast, self.saturation)
        factors = [np.random.uniform(max(1 - value, 0), 1 + value) for value in around_one]
        return dict(order=np.random.permutation(4), factors=[*factors, np.random.uniform(-self.hue, self.hue)])

    def run(self, img: np.ndarray, order: np.ndarray, factors: list[float]) -> np.ndarray:
        """The four adjustments one after another."""
        adjust = (T.adjust_brightness, T.adjust_contrast, T.adjust_saturation, T.adjust_hue)
        picture = to_pil(img)
        for i in order:
            picture = adjust[i](picture, factors[i])
        return from_pil(picture)


@PIPELINES.register_module()
class GrayColor(SometimesOp):
    """Take the color away: three equal channels.

    Args:
        prob: of applying the op.
    """

    def __init__(self, prob: float = 0.2) -> None:
        super().__init__(prob)

    def draw_params(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Nothing."""
        return {}

    def run(self, img: np.ndarray) -> np.ndarray:
        """Pillow's luminance."""
        return from_pil(T.to_grayscale(to_pil(img), num_output_channels=3))


@PIPELINES.register_module()
class BlurImage(SometimesOp):
    """Pillow's ``GaussianBlur``.

    Args:
        radius: (low, high) of the standard deviation, in pixels.
        prob: of applying the op.
    """

    def __init__(self, radius: tuple[float, float] = (0.1, 2.0), prob: float = 0.5) -> None:
        super().__init__(prob)
        self.radius = radius

    def draw_params(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """``radius``."""
        return dict(radius=np.random.uniform(*self.radius))

    def run(self, img: np.ndarray, radius: float) -> np.ndarray:
        """The blurred image."""
        return from_pil(to_pil(img).filter(ImageFilter.GaussianBlur(radius)))


@PIPELINES.register_module()
class EraseWithNoise(SometimesOp):
    """torchvision's ``RandomErasing`` with random values: one rectangle of noise.

    Args:
        area: (low, high) of the rectangle, as a share of the image's.
        aspect: (low, high) of its height over its width, drawn by its logarithm.
        prob: of applying the op.
    """

    TRIES = 10  # of a rectangle that is smaller than the image; then there is none

    def __init__(self, area: tuple[float, float], aspect: tuple[float, float], prob: float) -> None:
        super().__init__(prob)
        self.area, self.aspect = area, aspect

    def draw_params(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """``place``: (x1, y1), and ``noise``: (h, w, 3) uint8; nothing of it if no rectangle fits."""
        for _ in range(self.TRIES):
            area = np.random.uniform(*self.area) * shape[0] * shape[1]
            aspect = math.exp(np.random.uniform(*map(math.log, self.aspect)))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if height < shape[0] and width < shape[1]:
                place = np.random.randint(shape[1] - width + 1), np.random.randint(shape[0] - height + 1)
                return dict(place=place, noise=np.random.randint(0, 256, (height, width, 3), np.uint8))
        return dict(place=(0, 0), noise=np.zeros((0, 0, 3), np.uint8))

    def run(self, img: np.ndarray, place: tuple[int, int], noise: np.ndarray) -> np.ndarray:
        """A copy with the rectangle in it."""
        img, (x, y) = img.copy(), place
        img[y : y + noise.shape[0], x : x + noise.shape[1]] = noise
        return img
