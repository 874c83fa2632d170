"""Baseline, pseudo labels, STAC: one script."""

import json
import os
import subprocess
import time

import numpy as np
import pytest
import torch
from runs import BASELINE, ENV, ROOT, call, scratch, shell, small

SCRIPT = 'tools/train_multi_stage.sh'
STAC = str(ROOT / 'configs/demo/stac_r18_shapes.py')
# What a stage would leave behind; a stage that FAIL names dies.
FAKE_PYTHON = """#!/usr/bin/env bash
echo "$@" >> "$LOG"
case "$*" in *"$FAIL"*) exit 3 ;; esac
while [ $# -gt 0 ]; do
    case $1 in
        --work-dir) mkdir -p "$2" && touch "$2/latest.pth" ;;
        --out) echo "{}" > "$2" ;;
    esac
    shift
done
"""


@pytest.fixture
def stages(tmp_path):
    """``stages(*options, fail=...)``: exit status, and the command lines of the stages that ran."""
    (tmp_path / 'bin').mkdir()
    python = tmp_path / 'bin/python'
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)

    def run(*options, fail='no stage', **env):
        log = tmp_path / 'log'
        log.unlink(missing_ok=True)
        env = {**ENV, 'PATH': f'{tmp_path}/bin:{os.environ["PATH"]}', 'LOG': str(log), 'FAIL': fail, **env}
        command = ['bash', str(ROOT / SCRIPT), '3', '5', '2', *options]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        return done.returncode, log.read_text().splitlines() if log.exists() else []

    return run


def test_stages_get_their_configs_and_options(stages, tmp_path):
    status, lines = stages('--seed', '7', '--cfg-options', 'a=1', 'b=(1, 2)', '--no-validate')
    assert status == 0 and len(lines) == 3
    folder = 'work_dirs/multi_stage/stac_faster_rcnn_r50_caffe_fpn_coco_180k/5/3'
    settings = '--cfg-options fold=3 percent=5 a=1 b=(1, 2)'
    pseudo = tmp_path / folder / 'pseudo_labels.json'
    for line, stage in ((lines[0], 'baseline'), (lines[2], 'stac')):
        assert '--nproc_per_node=2' in line and f'--work-dir {folder}/{stage} --auto-resume {settings}' in line
        assert line.endswith('--seed 7 --no-validate')
    assert 'faster_rcnn_r50_caffe_fpn_coco_partial_180k.py --launcher' in lines[0]
    assert (
        'stac_faster_rcnn_r50_caffe_fpn_coco_180k.py --launcher' in lines[2]
        and f'unlabeled.ann_file={pseudo} ' in lines[2]
    )
    assert '--nproc_per_node=2' in lines[1] and 'partial_180k.py ' in lines[1]
    assert f'{folder}/baseline/latest.pth --out {pseudo} --launcher pytorch {settings}' in lines[1]


def test_a_finished_stage_is_not_run_again_and_a_failed_one_is(stages, tmp_path):
    folder = ['--work-dir', str(tmp_path / 'here')]
    status, lines = stages(*folder, fail='here/baseline --auto-resume')
    assert status == 3 and len(lines) == 1
    status, lines = stages(*folder, fail='pseudo_label.py')
    assert status == 3 and len(lines) == 2
    status, lines = stages(*folder, fail='here/stac')
    assert status == 3 and len(lines) == 2 and 'pseudo_label.py' in lines[0]
    status, lines = stages(*folder)
    assert status == 0 and len(lines) == 1 and 'here/stac --auto-resume' in lines[0]
    assert stages(*folder) == (0, [])


def test_sigterm_reaches_the_stage_and_no_other_stage_starts(tmp_path):
    python = tmp_path / 'python'
    python.write_text(
        '#!/usr/bin/env bash\ntrap \'echo stopped >> "$LOG"; exit 143\' TERM\n'
        'echo started >> "$LOG"\nfor i in {1..600}; do sleep 0.1; done\n'
    )
    python.chmod(0o755)
    log = tmp_path / 'log'
    env = {**ENV, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'LOG': str(log)}
    script = subprocess.Popen(['bash', str(ROOT / SCRIPT), '1', '10', '1'], cwd=tmp_path, env=env)
    while not log.exists():
        time.sleep(0.05)
    script.terminate()
    assert script.wait(timeout=30) == 143
    assert log.read_text().split() == ['started', 'stopped']


def test_configs_of_other_data_and_the_work_dir(stages):
    env = dict(BASELINE='my/base line.py', STAC='my/own_stac.py')
    _, lines = stages(**env)
    assert 'my/base line.py --launcher' in lines[0] and 'my/base line.py work_dirs' in lines[1]
    assert 'my/own_stac.py --launcher' in lines[2] and 'work_dirs/multi_stage/own_stac/5/3/stac' in lines[2]
    _, lines = stages('--work-dir=there', **env)
    assert ['there/' in line for line in lines] == [True] * 3


def test_usage():
    run = shell('bash', SCRIPT, 1, 10)
    assert run.returncode == 2 and run.stdout.startswith(f'usage: {SCRIPT} FOLD PERCENT GPUS')


def by_image(path):
    """Of each image the (n, 6) array of category, box and score, in the order of scores."""
    found = {}
    for annotation in json.loads(path.read_text())['annotations']:
        row = [annotation['category_id'], *annotation['bbox'], annotation['score']]
        found.setdefault(annotation['image_id'], []).append(row)
    return {image: np.array(rows) for image, rows in found.items()}


@pytest.mark.long
def test_whole_run_on_two_processes_and_the_same_pseudo_labels_on_one():
    folder = scratch() / 'multi_stage'
    options = small(runner__max_iters=2, checkpoint_config__interval=2, evaluation__interval=2, pseudo_score_thr=0.12)
    command = ['bash', SCRIPT, 1, 25, 2, '--seed', 0, '--work-dir', folder, *options]
    run = shell(*command, BASELINE=BASELINE, STAC=STAC)
    assert run.returncode == 0, run.stdout
    assert sorted(path.name for path in folder.iterdir()) == ['baseline', 'pseudo_labels.json', 'stac']

    entries = [json.loads(line) for line in next((folder / 'stac').glob('*.log.json')).read_text().splitlines()]
    assert entries[-2]['sup_loss_cls'] > 0 and entries[-2]['unsup_loss_cls'] > 0
    assert {'student_bbox_mAP', 'teacher_bbox_mAP'} <= set(entries[-1])
    state = torch.load(folder / 'stac/iter_2.pth')['state_dict']
    assert {key.split('.')[0] for key in state} == {'student', 'teacher'}
    again = shell(*command, BASELINE=BASELINE, STAC=STAC)
    assert again.stdout.count('finished before') == 2 and 'Iter [' not in again.stdout

    out = scratch() / 'one_process.json'
    call('tools/pseudo_label.py', BASELINE, folder / 'baseline/latest.pth', '--out', out, *options)
    one, two = by_image(out), by_image(folder / 'pseudo_labels.json')
    assert one.keys() == two.keys() and len(one) > 0
    for image, rows in one.items():
        np.testing.assert_allclose(rows, two[image], atol=1e-4)
