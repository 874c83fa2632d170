"""Label maps for people: over the image, as colors alone, and as numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmseg.core.evaluation import get_palette
from torch import nn

from ssod.core.prediction import Prediction

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


def draw(model: nn.Module, image: np.ndarray, found: Prediction) -> np.ndarray:
    """The image, (H, W, 3) uint8 BGR, under the colors of a prediction's label map."""
    painted = colored(found.label_map, palette_of(model))[..., ::-1]
    return (0.5 * image + 0.5 * painted).round().astype(np.uint8)


def write_beside(model: nn.Module, found: Prediction, stem: Path) -> dict[str, Any]:
    """Write ``STEM_labels.png``, which has a class number in each pixel, and ``STEM_colors.png``.

    Args:
        model: of :func:`ssod.apis.init_detector`.
        found: with a label map.
        stem: path and beginning of the names.

    Returns:
        ``labels``: the file of numbers.
    """
    colors = palette_of(model)
    mmcv.imwrite(colored(found.label_map, colors)[..., ::-1], f'{stem}_colors.png')
    numbers = Path(f'{stem}_labels.png')
    write_map(found.label_map, numbers, colors)
    return dict(labels=str(numbers))


def palette_of(model: nn.Module) -> np.ndarray:
    """The colors of a model's classes: those of its test set."""
    return colors_of(model.cfg.data.test.get('palette'), model.CLASSES)
