"""The table of weights in docs/install.md: every name that our configs begin with, its file, and its URL."""

import re
from pathlib import Path

from mmcv import Config

from ssod.pretrained import published

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(r'\| `(\S+://\S+)` \| `(\S+)` \| (\S+) \|', (ROOT / 'docs/install.md').read_text())


def test_files_and_urls_are_those_that_training_asks_for():
    assert len(ROWS) == 7
    for checkpoint, name, url in ROWS:
        file = published(checkpoint)
        assert (file.name, file.url) == (name, url)


def test_every_name_in_a_config_is_in_the_table():
    asked = set()
    for path in (ROOT / 'configs').glob('[!_]*/*.py'):
        model = Config.fromfile(str(path)).model
        init_cfg = model.get('detector', model).backbone.get('init_cfg')  # YOLOX begins with load_from
        asked |= {init_cfg.checkpoint} if init_cfg else set()
    assert len(asked) == 5 and asked <= {checkpoint for checkpoint, _, _ in ROWS}
