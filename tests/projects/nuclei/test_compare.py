"""The worked example on real masks: its script, its data, a step of its training."""

import os
import subprocess
from pathlib import Path

import pytest
from runs import ENV, ROOT

from ssod.apis import load_config, new_dataset
from ssod.apis.checks import check_train_config
from ssod.core.task import task_of
from ssod.detection.checks import check_boxes

SCRIPT = ROOT / 'projects/nuclei/compare.sh'
NUCLEI = Path(__file__).resolve().parents[4] / 'shared' / 'data' / 'nuclei'


def asked(tmp_path, *argv):
    """The two commands that the script runs, with a stand-in for `ssod` that prints its arguments."""
    (tmp_path / 'bin').mkdir(exist_ok=True)
    fake = tmp_path / 'bin/ssod'
    fake.write_text('#!/usr/bin/env bash\nprintf "[%s]" "$@"; echo\n')
    fake.chmod(0o755)
    env = {**ENV, 'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}'}
    done = subprocess.run(['bash', SCRIPT, *argv], cwd=tmp_path, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


def test_the_script_makes_the_set_once_and_adds_the_users_options(tmp_path):
    assert asked(tmp_path)[0] == 2
    status, lines = asked(tmp_path, 'raw', '--seeds', '0', '1', '--cfg-options', 'a=1', 'b=2', '--skip', 'label_once')
    assert status == 0 and lines[0] == '[new][nuclei][--labeled][raw][--labeled-percent][10][--masks]'
    assert lines[1].startswith('[compare][data/nuclei/soft_teacher.py][--seeds][0][1][--skip][label_once][--cfg')
    assert lines[1].endswith('[a=1][b=2]') and '[test_scale=(384,384)]' in lines[1]
    (tmp_path / 'data/nuclei').mkdir(parents=True)
    (tmp_path / 'data/nuclei/soft_teacher.py').touch()
    status, lines = asked(tmp_path, 'raw')
    assert status == 0 and len(lines) == 1 and lines[0].startswith('[compare]')


@pytest.mark.skipif(not NUCLEI.is_dir(), reason='the nuclei are not beside the repository')
def test_the_set_can_be_trained_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = new_dataset('nuclei', NUCLEI, labeled_percent=10, masks=True)
    parts = report.summary.splits
    assert {name: part.images for name, part in parts.items()} == dict(labeled=40, unlabeled=364, val=134)
    assert parts['labeled'].masks == sum(parts['labeled'].boxes.values()) and parts['val'].maskless == 0
    scales = dict(train_scale=[(512, 256), (512, 512)], weak_scale=[(384, 352), (384, 416)])
    cfg = load_config('data/nuclei/soft_teacher.py', dict(scales, test_scale=(384, 384)))
    check_train_config(cfg)
    dataset = task_of(cfg).build_dataset(cfg.data.train)
    check_boxes(dataset)
    view = dataset[0]['sup']
    assert len(view['gt_masks'].data) == len(view['gt_bboxes'].data) > 0
    assert cfg.data.val.pipeline[1].img_scale == (384, 384)
