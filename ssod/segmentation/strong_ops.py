"""The 17 operations of Simple Baseline's strong augmentation, in OpenCV and NumPy, as the authors' imgaug does them.

``OPS[name](image, magnitude=20)``: (H, W, 3) uint8 to a new image of that shape. The authors give them BGR; who reads
channels (``equalize``, ``hsv``, ``jpeg_compression``) takes them for RGB all the same. No operation is geometric.

``magnitude`` chooses one of 40 strengths, 0 to 39; the operations that draw theirs take no notice of it. All draws come
from numpy's global generator. Source: SimpleBaseline@c30f2fa, segmentron/data/randaug.py, with imgaug 0.4.
"""

from collections.abc import Callable

import cv2
import numpy as np

STRENGTHS = 40


def strength(low: float, high: float, magnitude: int) -> float:
    """One of 40 values from ``low`` to ``high``.

    Raises:
        ValueError: ``magnitude`` is not among 0 to 39.
    """
    if magnitude not in range(STRENGTHS):
        raise ValueError(f'magnitude is a whole number from 0 to {STRENGTHS - 1}, got {magnitude!r}')
    return float(np.linspace(low, high, STRENGTHS)[magnitude])


def clipped(values: np.ndarray) -> np.ndarray:
    """To uint8: limited to [0, 255], then cut off, not rounded."""
    return np.clip(values, 0, 255).astype(np.uint8)


def contrast_gamma(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """255 (v / 255) ^ gamma, gamma from 0.5 to 1.5; at 20 it changes 2 levels at most."""
    gamma = np.float32(strength(0.5, 1.5, magnitude))
    return cv2.LUT(image, clipped(np.linspace(0, 1, 256, dtype=np.float32) ** gamma * 255))


def contrast_linear(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """127 + f (v - 127), f from 0.5 to 2."""
    factor = np.float32(strength(0.5, 2.0, magnitude))
    return cv2.LUT(image, clipped(127 + factor * (np.arange(256, dtype=np.float32) - 127)))


def brightness(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Add a to v, a from -20 to 50, rounded."""
    return clipped(image.astype(np.int16) + round(strength(-20, 50, magnitude)))


def equalize(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Equalize the histogram of L, in Lab."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.equalizeHist(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def hsv(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Add a number from -20 to 20 to hue (of 255 in a turn) and saturation; at 20 it is 0: a round trip over uint8."""
    value = int(strength(-20, 20, magnitude))
    levels = np.arange(256)
    hue, saturation = (levels + int(value / 255 * 180)) % 180, levels + value
    found = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    table = np.stack([clipped(hue), clipped(saturation), levels.astype(np.uint8)], axis=1)[None]
    return cv2.cvtColor(cv2.LUT(found, table), cv2.COLOR_HSV2RGB)


def invert_channel(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """The channels in reverse order."""
    return np.ascontiguousarray(image[..., ::-1])


def blur(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Gaussian, sigma from 1.5 to 2, over 5 or 7 pixels."""
    sigma = strength(1.5, 2.0, magnitude)
    size = int(max(3.3 * sigma, 5)) // 2 * 2 + 1
    return cv2.GaussianBlur(image, (size, size), sigmaX=sigma, sigmaY=sigma, borderType=cv2.BORDER_REFLECT_101)


def noise_gau(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Add normal noise, the same for all channels, with a deviation from 0.03 to 0.08 of 255."""
    noise = np.random.normal(0, strength(0.03 * 255, 0.08 * 255, magnitude), (*image.shape[:2], 1))
    return clipped(image + np.round(noise))


def noise_pos(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Add Poisson noise with a random sign, the same for all channels; its mean without the sign is from 10 to 15."""
    size = (*image.shape[:2], 1)
    return clipped(image + np.random.poisson(strength(10, 15, magnitude), size) * np.random.choice([-1, 1], size))


def channle_shuffle(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """The channels in a random order (the name is the authors')."""
    return np.ascontiguousarray(image[..., np.random.permutation(3)])


def dropout(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Values, each channel for itself, become 0 with one probability per image, of U(0.2, 0.5)."""
    return image * (np.random.random(image.shape) >= np.random.uniform(0.2, 0.5))


def coarse_dropout(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """As ``dropout``, with probability 0.2, for the cells of a grid of 3 to 5 by 3 to 5."""
    rows, columns = np.maximum(np.random.randint(2, 6, 2), 3)
    kept = (np.random.random((rows, columns, 3)) >= 0.2).astype(np.uint8)
    return image * cv2.resize(kept, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def multiply(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Each channel times a factor of U(0.25, 2.5)."""
    return clipped(image * np.random.uniform(0.25, 2.5, 3))


def salt_pepper(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Values become 255 Beta(0.5, 0.5) with one probability per image, of U(0, 0.1)."""
    chosen = np.random.random(image.shape) < np.random.uniform(0, 0.1)
    return np.where(chosen, clipped(255 * np.random.beta(0.5, 0.5, image.shape)), image)


def solarize(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """255 - v from a threshold on, one of U(64, 192) per image."""
    return np.where(image >= np.random.uniform(64, 192), 255 - image, image)


def jpeg_compression(image: np.ndarray, magnitude: int = 20) -> np.ndarray:
    """Through JPEG of quality 7 to 17."""
    quality = round(1 + 99 * (1 - np.random.uniform(85, 95) / 101))
    _, code = cv2.imencode('.jpg', np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])


# In the authors' order, in which those that were drawn are applied.
OPS: dict[str, Callable[..., np.ndarray]] = {
    'contrast_gamma': contrast_gamma,
    'contrast_linear': contrast_linear,
    'brightness': brightness,
    'brightness_channel': brightness,
    'equalize': equalize,
    'hsv': hsv,
    'invert_channel': invert_channel,
    'blur': blur,
    'noise_gau': noise_gau,
    'noise_pos': noise_pos,
    'channle_shuffle': channle_shuffle,
    'dropout': dropout,
    'coarse_dropout': coarse_dropout,
    'multiply': multiply,
    'salt_pepper': salt_pepper,
    'solarize': solarize,
    'jpeg_compression': jpeg_compression,
}
