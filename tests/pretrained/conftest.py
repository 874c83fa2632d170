"""Weights that nobody has published, under names as if somebody had; no network."""

import hashlib
import io
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from ssod.pretrained import files


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path) -> Path:
    """An empty cache of torch hub, which it returns, no folder of the user's, and a download that fails."""

    def refuse(url, path, hash_prefix=None):
        raise URLError('no route to host')

    monkeypatch.delenv('SSOD_WEIGHTS', raising=False)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', refuse)
    (tmp_path / 'hub/checkpoints').mkdir(parents=True)
    return tmp_path / 'hub/checkpoints'


@pytest.fixture
def publish(monkeypatch):
    """``publish(weights)``: the bytes of a file and its name; ``torchvision://mine`` stands for it then."""

    def make(weights) -> tuple[bytes, str]:
        torch.save(weights, buffer := io.BytesIO())
        name = f'mine-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth'
        monkeypatch.setitem(files.TABLES, 'torchvision', lambda: {'mine': f'https://example.org/models/{name}'})
        return buffer.getvalue(), name

    return make
