"""`ssod compare` on label maps: three columns, a verdict, its reasons; the report again trains nothing."""

import json

import pytest
from runs import call, refusal
from segmentation_runs import CONFIGS, SUPERVISED, options

from ssod.apis.runs import read_log

FIXMATCH = CONFIGS / 'fixmatch/deeplabv3plus_r18_shapes.py'
KEYS = 'metric baseline label_once method difference interval verdict recommended reasons sentence test'.split()


@pytest.mark.long
def test_a_comparison_of_label_maps(tmp_path, capsys):
    few = options(runner__max_iters=4, checkpoint_config__interval=2, evaluation__interval=2)
    few += ['model.semi_train_cfg.threshold=0.1']  # so short a training is sure of nothing
    call('tools/compare.py', FIXMATCH, '--work-dir', tmp_path, '--jobs', 1, *few)
    verdict = json.loads((tmp_path / 'verdict.json').read_text())
    assert list(verdict) == KEYS and verdict['metric'] == 'mIoU' and verdict['test'] is None
    for column in ('baseline', 'label_once', 'method'):
        best = max(
            entry[f'{m}_mIoU'] for entry in read_log(tmp_path / column / 'seed0')['val'] for m in ('student', 'teacher')
        )
        assert verdict[column] == {'0': pytest.approx(100 * best, abs=0.02)}
    assert verdict['difference'] == pytest.approx(verdict['method']['0'] - verdict['baseline']['0'])
    reasons = verdict['reasons']
    assert (reasons['labeled_images'], reasons['validation_images'], reasons['threshold']) == (6, 8, 0.1)
    assert reasons['labels_per_image'] == 1 and reasons['by_threshold']['0.1']['per_image'] == 1
    assert reasons['precision'] == reasons['recall'] > 0  # each pixel has a label, and each a pseudo label
    assert set(reasons['by_class']) == {'background', 'circle', 'triangle', 'star', 'cross'}
    assert '| share of pseudo-labeled pixels, first and last |' in (tmp_path / 'verdict.md').read_text()
    assert len(list((tmp_path / 'label_once/seed0/pseudo_maps').glob('*.png'))) == 18
    capsys.readouterr()
    call('tools/compare.py', FIXMATCH, '--work-dir', tmp_path, '--report')
    assert 'detecting on' not in capsys.readouterr().out
    assert json.loads((tmp_path / 'verdict.json').read_text()) == verdict


def test_what_cannot_be_compared(tmp_path):
    assert 'no unlabeled images to compare' in refusal('tools/compare.py', SUPERVISED, '--work-dir', tmp_path)
