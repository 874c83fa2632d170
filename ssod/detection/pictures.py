"""Detections for people: boxes, masks, class names and scores on the image."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as rle
from torch import nn

from ssod.core.prediction import Prediction
from ssod.data.labels.masks import decode

OPACITY = 0.5  # of a mask


def draw(model: nn.Module, image: np.ndarray, found: Prediction) -> np.ndarray:
    """A picture of a prediction, the best on top; lines and letters grow with the image.

    Args:
        model: its classes.
        image: (H, W, 3) uint8 BGR.
        found: on it.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    colors = colors_of(len(model.CLASSES))[found.labels]
    picture = np.ascontiguousarray(image[..., ::-1])
    for code, color in zip(found.run_lengths or [], colors, strict=False):
        left, top, width, height = rle.toBbox(code).astype(int)
        mask = decode(code)[top : top + height, left : left + width]
        part = picture[top : top + height, left : left + width]
        part[mask] = ((1 - OPACITY) * part[mask] + OPACITY * color).astype(np.uint8)
    canvas = Image.fromarray(picture)
    pen, longer = ImageDraw.Draw(canvas), max(found.size)
    width, font = max(round(longer / 500), 1), font_of(max(round(longer / 80), 9))
    for place in range(len(found))[::-1]:
        color = tuple(colors[place].tolist())
        left, top, right, bottom = map(float, found.boxes[place])
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=color, width=width)
        text = f'{found.names[place]} {found.scores[place]:.2f}'
        under = pen.textbbox((left, max(top, font.size + 4)), text, font=font, anchor='lb')
        pen.rectangle(under, fill=color)
        pen.text(under[:2], text, fill='black' if sum(color) > 380 else 'white', font=font, anchor='lt')
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def colors_of(number: int) -> np.ndarray:
    """(number, 3) uint8 RGB, one for each class, the same in every picture."""
    return np.random.RandomState(42).randint(0, 256, (number, 3)).astype(np.uint8)


@cache
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's font, which has more than the Latin letters."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts/ttf/DejaVuSans.ttf')), size)
