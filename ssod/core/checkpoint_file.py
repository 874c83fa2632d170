"""Checkpoint files, read without running anything that is in them, and only if every byte is as it was written."""

import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmcv.runner import CheckpointLoader

from .errors import InputError, reading_checkpoint

# What `torch.load` says of a class or function that it does not know to be harmless.
UNKNOWN = re.compile(r'GLOBAL ([\w.]+)')


def load_file(path: str | Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU: tensors, numbers, texts and their containers, and nothing else.

    A pickle can name any function and have it called. Here only what rebuilds tensors and numpy's arrays is (see
    :func:`ssod.compat.allow_numpy_scalars_in_checkpoints`); any other name is refused before it is looked up.

    torch itself takes a file of which a byte has changed. Files since torch 1.6 hold checksums, which are compared.

    Args:
        path: of a file; mmcv's ``s3://...`` and the like are left to mmcv.

    Raises:
        InputError: no such file, a damaged one, one that is no checkpoint, or one that would run code.
    """
    path = str(path)
    with reading_checkpoint(path):
        if '://' in path:
            return CheckpointLoader.load_checkpoint(path, map_location='cpu')
        check_whole(path)
        loaded = read(path)
    if not isinstance(loaded, dict):
        raise InputError(f'cannot load the checkpoint {path}: it holds a {type(loaded).__name__}, not weights by name')
    if not isinstance(loaded.get('meta', {}), dict):
        raise InputError(f'cannot load the checkpoint {path}: its meta is a {type(loaded["meta"]).__name__}')
    return loaded


def read(path: str) -> Any:
    """``torch.load`` of tensors alone, whatever the environment says of that."""
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:  # what a file of another kind raises is not fixed
        name = UNKNOWN.search(str(error))
        if name is None:
            raise InputError(f'cannot load the checkpoint {path}: it is none of torch, or damaged') from error
        raise InputError(
            f'cannot load the checkpoint {path}: it would run {name[1]}, which is no weight, and was not run. '
            'If you trust its source, save its tensors alone'
        ) from error


def check_whole(path: str) -> None:
    """Refuse an empty file, and one whose checksums do not fit what it holds; files before torch 1.6 have none."""
    if Path(path).stat().st_size == 0:
        raise InputError(f'cannot load the checkpoint {path}: it is empty')
    if not zipfile.is_zipfile(path):
        with open(path, 'rb') as file:
            if file.read(2) == b'PK':
                raise InputError(f'cannot load the checkpoint {path}: it is damaged, its end is missing')
        return
    try:
        with zipfile.ZipFile(path) as file:
            wrong = file.testzip()
    except Exception as error:  # what a broken archive raises is not fixed
        raise InputError(f'cannot load the checkpoint {path}: it is damaged ({error})') from error
    if wrong is not None:
        raise InputError(f'cannot load the checkpoint {path}: it is damaged (the checksum of {wrong} is another)')
