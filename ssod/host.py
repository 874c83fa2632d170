"""Finds the mmcv that MMDetection 2.28 runs on, and gives it operators where it came without."""

import sys
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec

WHAT_TO_DO = 'run `make install`, or `python tools/build_mmcv.py --install`, in the clone of ssod'


def find_mmcv() -> None:
    """Make sure that ``mmcv.ops`` can be imported; ``ssod.ops`` serves as its extension if it has none.

    A compiled mmcv-full keeps its own operators, and so does one that holds ours. Calling it again changes nothing.

    Raises:
        ImportError: there is no mmcv 1.7, or its compiled operators do not fit the installed torch.
    """
    version = mmcv_version()
    if version is None:
        raise ImportError(f'mmcv-full 1.7.2 is needed and not installed: {WHAT_TO_DO}.')
    if not version.startswith('1.7.'):
        raise ImportError(
            f'mmcv-full 1.7.2 is needed and mmcv {version} is installed: '
            f'`pip uninstall mmcv mmcv-full mmcv-lite`, then {WHAT_TO_DO}.'
        )
    if find_spec('mmcv._ext') is None:
        sys.modules['mmcv._ext'] = import_module('ssod.ops')
        return
    import_module('torch')  # a compiled extension needs its libraries
    try:
        import_module('mmcv._ext')
    except ImportError as error:
        raise ImportError(
            f'the operators of the installed mmcv-full {version} do not fit the installed torch ({error}): '
            f'`pip uninstall mmcv-full`, then {WHAT_TO_DO}.'
        ) from error


def mmcv_version() -> str | None:
    """Version of the installed mmcv-full or mmcv; None without one."""
    for name in ('mmcv-full', 'mmcv', 'mmcv-lite'):
        for distribution in distributions(name=name):
            return distribution.version
    return None


def has_mmseg() -> bool:
    """Whether MMSegmentation 0.x is installed, with prettytable, without which it cannot be imported.

    `make install` brings both. An older installation has neither, and detection does without.
    """
    versions = [distribution.version for distribution in distributions(name='mmsegmentation')]
    return bool(versions) and versions[0].startswith('0.') and find_spec('prettytable') is not None
