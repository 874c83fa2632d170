"""`ssod compare` on the tiny shapes: stopped, continued, reported."""

import json

import numpy as np
import pytest
from runs import BASELINE, SOFT_TEACHER, call, refusal, taught

from ssod.apis.comparison import runs as comparison_runs
from ssod.apis.runs import read_log

SCRIPT = 'tools/compare.py'
KEYS = 'metric baseline label_once method difference interval verdict recommended reasons sentence test'.split()
# Low thresholds: so short a training is sure of nothing.
OPTIONS = [
    *taught(runner__max_iters=6, checkpoint_config__interval=3, evaluation__interval=3, pseudo_score_thr=0.05),
    'model.semi_train_cfg.cls_filter.thr=0.05',
]


def stopping_after(label, monkeypatch):
    """Let a signal come while a run is trained; it is trained to its end all the same."""
    real = comparison_runs.run_training

    def run(command, env, work_dir, name, threads, stop):
        real(command, env, work_dir, name, threads, stop)
        stop.received |= name == label

    monkeypatch.setattr(comparison_runs, 'run_training', run)


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    """Work dir of a comparison that was stopped after the baseline and run again."""
    folder = tmp_path_factory.mktemp('compare')
    with pytest.MonkeyPatch.context() as patch:
        stopping_after('baseline 0', patch)
        with pytest.raises(SystemExit, match='stopped; run the same command again to continue'):
            call(SCRIPT, SOFT_TEACHER, '--work-dir', folder, '--jobs', 1, *OPTIONS)
    assert {path.parts[-3] for path in folder.glob('*/seed0/*.pth')} == {'baseline'}
    call(SCRIPT, SOFT_TEACHER, '--work-dir', folder, '--jobs', 1, *OPTIONS)
    return folder


def test_three_columns_and_a_verdict(out):
    verdict = json.loads((out / 'verdict.json').read_text())
    assert list(verdict) == KEYS and verdict['metric'] == 'bbox_mAP'
    for column in ('baseline', 'label_once', 'method'):
        last = read_log(out / column / 'seed0')['val'][-1]
        best = 100 * max(last['student_bbox_mAP'], last['teacher_bbox_mAP'])
        assert verdict[column] == {'0': pytest.approx(best, abs=0.06)}  # the log is rounded to three digits
    assert verdict['difference'] == pytest.approx(verdict['method']['0'] - verdict['baseline']['0'])
    low, high = verdict['interval']
    assert low <= verdict['difference'] <= high or low == pytest.approx(high)
    assert verdict['verdict'] == ('helps' if low > 0 else 'hurts' if high < 0 else 'no_difference')
    assert len(list((out / 'baseline/seed0').glob('*.log'))) == 1  # not trained again


def test_reasons_are_measured(out):
    reasons = json.loads((out / 'verdict.json').read_text())['reasons']
    assert (reasons['labeled_images'], reasons['validation_images'], reasons['threshold']) == (6, 8, 0.05)
    assert reasons['labels_per_image'] == pytest.approx(38 / 6)
    assert reasons['unlabeled_share'] == pytest.approx(2 / 3)  # two of six iterations are the burn-in
    assert set(reasons['by_threshold']) == {'0.05', '0.3', '0.5', '0.6', '0.7', '0.8', '0.9', '0.95'}
    assert 0 <= reasons['recall'] <= 1 and reasons['precision_before'] is not None
    differences = [own['method'] - own['baseline'] for own in reasons['by_class'].values()]
    assert [own['difference'] for own in reasons['by_class'].values()] == pytest.approx(differences)
    columns = json.loads((out / 'verdict.json').read_text())
    assert np.mean(differences) == pytest.approx(columns['difference'])


def test_the_recommended_checkpoint_is_there(out):
    recommended = json.loads((out / 'verdict.json').read_text())['recommended']
    assert set(recommended) == {'checkpoint', 'model', 'config', 'why'}
    call(
        'tools/test.py', recommended['config'], recommended['checkpoint'], '--eval', 'bbox', '--work-dir', out / 'test'
    )
    assert (out / 'test/eval.json').is_file()


def test_the_page_and_the_report_again(out, capsys):
    before = (out / 'verdict.json').read_bytes(), (out / 'verdict.md').read_bytes()
    (out / 'verdict.png').unlink()
    call(SCRIPT, SOFT_TEACHER, '--work-dir', out, '--report')
    assert ((out / 'verdict.json').read_bytes(), (out / 'verdict.md').read_bytes()) == before
    assert (out / 'verdict.png').stat().st_size > 1000
    verdict = json.loads(before[0])
    printed = capsys.readouterr().out
    assert printed.splitlines()[-2] == verdict['sentence'] and 'detecting on' not in printed
    page = before[1].decode()
    assert page.startswith(f'**{verdict["sentence"]}**\n')
    assert f'| supervised baseline | {verdict["baseline"]["0"]:.1f} |' in page
    assert all(f'| {name} |' in page for name in ('label-once', 'method', 'circle', 'cross'))


def test_refusals(out, tmp_path):
    said = refusal(SCRIPT, SOFT_TEACHER, '--work-dir', out, *OPTIONS, 'optimizer.lr=0.5')
    assert 'were trained with other settings of optimizer: give another folder' in said
    assert 'no unlabeled images to compare with and without' in refusal(SCRIPT, BASELINE, '--work-dir', tmp_path)
    assert 'train first' in refusal(SCRIPT, SOFT_TEACHER, '--work-dir', tmp_path, '--report')
    assert 'no seed of [7] is finished' in refusal(SCRIPT, SOFT_TEACHER, '--work-dir', out, '--report', '--seeds', 7)
    missing = refusal(SCRIPT, SOFT_TEACHER, '--work-dir', tmp_path, *taught(data_root=f'{tmp_path}/none/'))
    assert f'{tmp_path}/none/' in missing
    for idle in (['--jobs', 2], OPTIONS):
        with pytest.raises(SystemExit):
            call(SCRIPT, SOFT_TEACHER, '--work-dir', out, '--report', *idle)
