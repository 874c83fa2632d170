"""Imports without the notes of mmcv and torch that a reader can do nothing about."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_import() -> Iterator[None]:
    """For the time of an import; warning filters and log levels are as before afterwards.

    mmcv 1.7 announces its version 2, and torch says that it finds a CUDA toolkit and no GPU.
    """
    logger = logging.getLogger('torch.utils.cpp_extension')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='On January 1, 2023, MMCV will release')
            yield
    finally:
        logger.setLevel(level)
