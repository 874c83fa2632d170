"""What a run's draws depend on besides its config's text: kept in its checkpoints, compared when it goes on."""

import hashlib
import os.path as osp
from typing import Any

from mmcv import Config

from .checks import data_set_configs
from .schedule_check import cumulative_iters


def facts_of(cfg: Config, seed: int, processes: int) -> dict[str, Any]:
    """The facts: numbers, and the first 16 digits of the SHA-256 of each annotation file that is trained on."""
    facts: dict[str, Any] = dict(
        seed=seed,
        processes=processes,
        samples_per_gpu=cfg.data.samples_per_gpu,
        cumulative_iters=cumulative_iters(cfg),
    )
    for place, data in data_set_configs(cfg).items():
        if place.startswith('data.train'):
            path = osp.join(data.get('data_root') or '', data.get('ann_file') or '')
            facts[f'{place}.ann_file'] = digest(path) if osp.isfile(path) else ''
    return facts


def digest(path: str) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256."""
    found = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()[:16]


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has changed since a checkpoint was written, a phrase for each fact that both know."""
    said = []
    for name in sorted(before.keys() & now.keys()):
        if before[name] == now[name]:
            continue
        if name.endswith('ann_file'):
            said.append(f'the content of {name} has changed')
        else:
            said.append(f'{name} was {before[name]} and is {now[name]}')
    return said
