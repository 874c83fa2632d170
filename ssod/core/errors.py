"""What the user can mend, said in one sentence."""

import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import groupby
from types import ModuleType


class InputError(ValueError):
    """Something in a config, a file or a command line that the user can mend; the message says what and how."""


@contextmanager
def building(what: str) -> Iterator[None]:
    """A setting that a part of MMDetection or ours refuses is an InputError; the refusal stays as its cause.

    Only around what is built from the config: an error in a training step keeps its traceback.

    Args:
        what: the place in the config, put in front of the message.
    """
    try:
        yield
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        # mmcv puts the name of each class on the way in front, and ours name themselves.
        parts = str(error.args[0] if error.args else error).split(': ')
        raise InputError(f'{what}: {": ".join(part for part, _ in groupby(parts))}') from error


@contextmanager
def reading_checkpoint(path: str) -> Iterator[None]:
    """A checkpoint that is not there or cannot be used is an InputError: what torch raises for a bad file is not fixed.

    Raises:
        InputError: no such file, or any error while it is read.
    """
    if '://' not in path and not osp.isfile(path):
        raise InputError(f'no checkpoint {path}')
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise InputError(f'cannot load the checkpoint {path}: {reason[0]}') from error


def needed(name: str, extra: str) -> ModuleType:
    """A module that an installation may lack.

    Args:
        name: of the module.
        extra: the optional dependencies of ssod that bring it, 'export' say.

    Raises:
        InputError: it cannot be imported.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.split('.')[0]
        raise InputError(f'{package} is needed and cannot be imported ({error}): pip install ssod[{extra}]') from error
