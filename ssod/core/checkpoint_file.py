"""Checkpoint files, read without running anything that is in them, and only if every byte is as it was written."""

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmcv.runner import CheckpointLoader
from torch import Tensor

from .errors import InputError, needed, reading_checkpoint

# What `torch.load` says of a class or function that it does not know to be harmless.
UNKNOWN = re.compile(r'GLOBAL ([\w.]+)')


def load_file(path: str | Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU: tensors, numbers, texts and their containers, and nothing else.

    A pickle can name any function and have it called. Here only what rebuilds tensors and numpy's arrays is (see
    :func:`ssod.compat.allow_numpy_scalars_in_checkpoints`); any other name is refused before it is looked up.

    torch itself takes a file of which a byte has changed. Files since torch 1.6 hold checksums, which are compared.

    Args:
        path: of a file, ``.safetensors`` of :func:`write_safetensors` too; mmcv's ``s3://...`` and the like are left
            to mmcv.

    Raises:
        InputError: no such file, a damaged one, one that is no checkpoint, or one that would run code.
    """
    path = str(path)
    with reading_checkpoint(path):
        if '://' in path:
            return CheckpointLoader.load_checkpoint(path, map_location='cpu')
        if path.endswith('.safetensors'):
            return read_safetensors(path)
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


def write_safetensors(path: Path, weights: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write a checkpoint as safetensors, which holds tensors and texts alone.

    Args:
        meta: what JSON can hold.

    Raises:
        InputError: safetensors is not installed.
    """
    safetensors = needed('safetensors.torch', 'export')
    own = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}  # none shares memory
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in meta.items()}
    safetensors.save_file(own, str(path), {'format': 'pt', 'sha256': sha256_of(own), **texts})


def read_safetensors(path: str) -> dict[str, Any]:
    """What :func:`write_safetensors` has written: ``state_dict``, and ``meta`` with the texts and ``CLASSES``.

    Raises:
        InputError: safetensors is not installed, or the weights are not those that were written.
    """
    safetensors = needed('safetensors', 'export')
    with safetensors.safe_open(path, 'pt') as file:
        meta = dict(file.metadata() or {})
        weights = {name: file.get_tensor(name) for name in file.keys()}
    if meta.get('sha256', '') not in ('', sha256_of(weights)):
        raise InputError(f'cannot load the checkpoint {path}: it is damaged (its SHA-256 is another)')
    if 'CLASSES' in meta:
        meta['CLASSES'] = json.loads(meta['CLASSES'])
    return dict(meta=meta, state_dict=weights)


def sha256_of(weights: dict[str, Tensor]) -> str:
    """SHA-256 of names and values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
