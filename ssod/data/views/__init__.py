"""Pipeline ops of the weak and strong views; importing this package registers them in mmdet's PIPELINES."""

from .branches import MultiBranch
from .color import (
    AutoContrast,
    Brightness,
    Color,
    Contrast,
    Equalize,
    Identity,
    Posterize,
    Sharpness,
    Solarize,
)
from .compose import DrawThenApply, RandomOrder
from .erasing import RandomErasing
from .formatting import NormalizeOnDevice
from .geometric import FlipWithMatrix, RandomRotate, RandomShear, RandomTranslate, ResizeWithMatrix
from .masks import LoadInstances
from .photometric import BlurImage, EraseWithNoise, GrayColor, JitterColor

__all__ = [
    'AutoContrast',
    'BlurImage',
    'Brightness',
    'Color',
    'Contrast',
    'DrawThenApply',
    'Equalize',
    'EraseWithNoise',
    'FlipWithMatrix',
    'GrayColor',
    'Identity',
    'JitterColor',
    'LoadInstances',
    'MultiBranch',
    'NormalizeOnDevice',
    'Posterize',
    'RandomErasing',
    'RandomOrder',
    'RandomRotate',
    'RandomShear',
    'RandomTranslate',
    'ResizeWithMatrix',
    'Sharpness',
    'Solarize',
]
