"""Label maps for people: over the image, as colors alone, and as numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmseg.core.evaluation import get_palette
from torch import nn

from .labeling import write_map


def colors_of(settings: Any, classes: Sequence[str]) -> np.ndarray:
    """(C, 3) uint8 RGB of the classes.

    Args:
        settings: ``palette`` of a data set: colors, the name of a set of MMSegmentation, or None, which draws some.
        classes: their names.
    """
    if isinstance(settings, str):
        settings = get_palette(settings)
    if settings is None:
        settings = np.random.RandomState(42).randint(0, 255, (len(classes), 3))  # as MMSegmentation draws them
    return np.array(settings, np.uint8)[: len(classes)]


def colored(labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB picture of a label map (H, W). A number without a class, such as 255, is white."""
    table = np.full((256, 3), 255, np.uint8)
    table[: len(colors)] = colors
    return table[labels]


def write_prediction(
    model: nn.Module, image: Path, picture: Path, labels: np.ndarray, image_id: int
) -> list[dict[str, Any]]:
    """Write a label map in three ways beside each other, and say what is in it.

    ``picture`` is the image under its colors; ``NAME_colors.png`` the colors alone; ``NAME_labels.png`` has a class
    number in each pixel.

    Args:
        model: of :func:`ssod.apis.init_detector`.
        image: the file.
        picture: the file to write.
        labels: (H, W), of the model.
        image_id: 1 for the first image.

    Returns:
        For each class in the image ``image_id``, ``file_name``, ``category_id`` (its number), ``category``, ``share``
        of the pixels and ``labels``, the file of numbers; largest first.
    """
    colors = colors_of(model.cfg.data.test.get('palette'), model.CLASSES)
    labels = labels.astype(np.uint8)
    painted = colored(labels, colors)[..., ::-1]
    below = mmcv.imread(str(image))
    mmcv.imwrite((0.5 * below + 0.5 * painted).round().astype(np.uint8), str(picture))
    mmcv.imwrite(painted, str(picture.with_name(f'{picture.stem}_colors.png')))
    numbers = picture.with_name(f'{picture.stem}_labels.png')
    write_map(labels, numbers, colors)
    shares = np.bincount(labels.reshape(-1), minlength=len(colors)) / labels.size
    return [
        dict(
            image_id=image_id,
            file_name=str(image),
            category_id=int(number),
            category=model.CLASSES[number],
            share=round(float(shares[number]), 4),
            labels=str(numbers),
        )
        for number in np.argsort(-shares[: len(colors)], kind='stable')
        if shares[number] > 0
    ]
