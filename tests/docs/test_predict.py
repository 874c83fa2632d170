"""The Python of docs/predict.md and docs/api.md, run as it stands there on a checkpoint of random weights."""

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from runs import MASKS, class_names, shapes

from ssod.apis import init_detector, load_config

DOCS = Path(__file__).parents[2] / 'docs'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """With the photo and the checkpoint that the pages name."""
    folder = tmp_path_factory.mktemp('docs')
    path = folder / 'work_dirs/cells/soft_teacher/latest.pth'
    path.parent.mkdir(parents=True)
    cfg = load_config(MASKS, {'test_scale': (96, 96), 'data_root': f'{shapes()}/'})
    torch.manual_seed(0)
    weights = init_detector(cfg, device='cpu').state_dict()
    settings = ''.join(f'{key} = {value!r}\n' for key, value in cfg._cfg_dict.to_dict().items())
    torch.save(dict(meta=dict(CLASSES=tuple(class_names()), config=settings), state_dict=weights), path)
    shutil.copy(shapes() / 'images/val/000001.jpg', folder / 'photo.jpg')
    return folder


@pytest.mark.parametrize('page', ['predict.md', 'api.md'])
def test_the_examples_run(folder, page, monkeypatch):
    if page == 'predict.md':
        pytest.importorskip('supervision')
    monkeypatch.chdir(folder)
    names: dict = {}
    blocks = re.findall(r'```python\n(.*?)```', (DOCS / page).read_text(encoding='utf-8'), flags=re.DOTALL)
    assert blocks and os.path.exists('photo.jpg')
    for block in blocks:
        exec(block, names)
    found = names['found']
    assert found.masks is not None and found.masks.shape == (len(found), 96, 96)
    if page == 'predict.md':
        assert [one.place for one in names['both']] == [0, 1] and names['large'].size == (96, 96)
        assert len(names['taken']) == 4 and names['speed'] > 0
        assert len(names['detections']) == len(found) and names['picture'].shape == (96, 96, 3)
