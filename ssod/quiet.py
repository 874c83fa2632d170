"""Imports without the notes of mmcv and torch that a reader can do nothing about."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NOTE = 'On January 1, 2023, MMCV will release'


@contextmanager
def quiet_import() -> Iterator[None]:
    """For the time of an import; afterwards warning filters and log levels are those of an import without it.

    mmcv 1.7 announces its version 2, and torch says that it finds a CUDA toolkit and no GPU.
    """
    logger = logging.getLogger('torch.utils.cpp_extension')
    level = logger.level
    logger.setLevel(logging.ERROR)
    before = list(warnings.filters)
    warnings.filterwarnings('ignore', message=NOTE)
    # Not `catch_warnings`: it would also take back the filters that torch, numpy and scipy set for themselves.
    ours = None if warnings.filters[0] in before else warnings.filters[0]
    try:
        yield
    finally:
        logger.setLevel(level)
        if ours in warnings.filters:
            warnings.filters.remove(ours)
