"""What an exported model is given: images that are resized, normalized and padded as in a test, without MMDetection."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np


@dataclass(frozen=True)
class Input:
    """How an image becomes the input of an exported model.

    Attributes:
        width, height: of the input, in pixels.
        mean, std: of the channels, in their order in the input; pixels are 0 to 255.
        to_rgb: the channels are red, green, blue; else blue, green, red.
        keep_ratio: the image is resized as a whole until it fits, and stands at the top left; else it is stretched.
        pad: value of the input where the image ends, in each channel, after normalizing.
    """

    width: int
    height: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_rgb: bool
    keep_ratio: bool = True
    pad: tuple[float, ...] = (0.0, 0.0, 0.0)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """An image, BGR uint8 (h, w, 3), as float32 (1, 3, height, width)."""
        h, w = image.shape[:2]
        scale = min(self.width / w, self.height / h)
        size = (int(w * scale + 0.5), int(h * scale + 0.5)) if self.keep_ratio else (self.width, self.height)
        image = cv2.resize(image, size)[:, :, :: -1 if self.to_rgb else 1]
        array = np.empty((self.height, self.width, 3), np.float32)
        array[:] = self.pad
        array[: size[1], : size[0]] = (image - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(array.transpose(2, 0, 1)[None])


def prepared(images: Sequence[np.ndarray], given: Input, pipeline: Sequence[dict], dynamic: bool) -> list[np.ndarray]:
    """Inputs of images; if their size may differ, every other one is three quarters as large."""
    divisor = divisor_of(pipeline)
    width, height = (rounded(0.75 * side, divisor) for side in (given.width, given.height))
    sizes = (given, replace(given, width=width, height=height) if dynamic else given)
    return [sizes[number % 2].prepare(image) for number, image in enumerate(images)]


def input_of(pipeline: Sequence[dict], image: np.ndarray, size: tuple[int, int] | None) -> Input:
    """The input that a config's test pipeline means.

    Args:
        pipeline: of ``data.test``.
        image: (h, w, 3), which says whether images lie or stand, and their size where the pipeline says none.
        size: (width, height); None: the pipeline's scale, in multiples of the divisor of its ``Pad``.
    """
    ops = {op['type']: op for op in ops_of(pipeline)}
    nothing: dict[str, Any] = dict(mean=(0.0,) * 3, std=(1.0,) * 3, to_rgb=False)
    norm = ops.get('Normalize') or ops.get('NormalizeOnDevice') or nothing
    width, height = size or own_size(pipeline, image)
    mean, std = (tuple(map(float, norm[key])) for key in ('mean', 'std'))
    keep_ratio = ops.get('Resize', {}).get('keep_ratio', True)
    value = ops.get('Pad', {}).get('pad_val', 0)
    value = value.get('img', 0) if isinstance(value, dict) else value
    pad = tuple(np.broadcast_to(np.array(value, float), 3).tolist())
    return Input(width, height, mean, std, norm.get('to_rgb', True), keep_ratio, pad)


def own_size(pipeline: Sequence[dict], image: np.ndarray) -> tuple[int, int]:
    """(width, height) of the pipeline's scale for images that lie or stand as this one does; or the image's own."""
    h, w = image.shape[:2]
    scale = next((op['img_scale'] for op in ops_of(pipeline) if op.get('img_scale')), None)
    if scale is None:
        width, height = w, h
    else:
        scale = scale[0] if isinstance(scale[0], (list, tuple)) else scale
        width, height = (max(scale), min(scale)) if w >= h else (min(scale), max(scale))
    divisor = divisor_of(pipeline)
    return rounded(width, divisor), rounded(height, divisor)


def divisor_of(pipeline: Sequence[dict]) -> int:
    """What the sides of the pipeline's images are multiples of."""
    return next((op['size_divisor'] for op in ops_of(pipeline) if op.get('size_divisor')), 1)


def rounded(side: float, divisor: int) -> int:
    """The next multiple of the divisor."""
    return int(-(-side // divisor) * divisor)


def ops_of(pipeline: Sequence[dict]) -> Iterator[dict]:
    """The ops of a pipeline and those within them, in order."""
    for op in pipeline:
        yield op
        yield from ops_of(op.get('transforms', ()))
