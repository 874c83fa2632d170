"""Rounds: teacher, labels, student, labels, student; and again, after an interruption."""

import json

import pytest
import torch
from runs import shell
from segmentation_runs import SIMPLE_BASELINE, options

SHORT = {'LABELING': '--scales 1 --no-flip'}


def rounds(work_dir, number, *more, **settings):
    arguments = ['tools/train_rounds.sh', SIMPLE_BASELINE, number, 1, '--work-dir', work_dir, '--seed', 0]
    return shell('bash', *arguments, *more, *options(runner__max_iters=4, **settings), **SHORT)


@pytest.mark.long
def test_two_rounds_and_their_continuation(tmp_path):
    done = rounds(tmp_path, 1)
    assert done.returncode == 0, done.stdout[-3000:]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ['round1_labels', 'round1_student', 'teacher']
    weights = torch.load(tmp_path / 'round1_student/iter_4.pth')['state_dict']
    assert any('.aux_bn.' in name for name in weights)
    # As if round 1 had been stopped after its first checkpoint, and half of its labels were gone.
    (tmp_path / 'round1_student/finished').unlink()
    (tmp_path / 'round1_student/iter_4.pth').unlink()
    link = tmp_path / 'round1_student/latest.pth'
    link.unlink()
    link.symlink_to('iter_3.pth')
    (tmp_path / 'round1_labels/000002.png').unlink()
    done = rounds(tmp_path, 2)
    assert done.returncode == 0, done.stdout[-3000:]
    assert 'teacher: finished before' in done.stdout and 'resumed' in done.stdout
    again = torch.load(tmp_path / 'round1_student/iter_4.pth')['state_dict']
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    first, second = (json.loads((tmp_path / f'round{n}_labels/labels.json').read_text()) for n in (1, 2))
    assert first['checkpoint'] != second['checkpoint'] and second['finished']
    assert (tmp_path / 'round2_student/finished').exists()
    done = rounds(tmp_path, 2)
    assert done.returncode == 0 and 'round2_student: finished before' in done.stdout
    assert 'Iter [' not in done.stdout


def test_what_is_missing_is_said(tmp_path):
    assert 'ROUNDS and GPUS are 1 or more' in rounds(tmp_path, 0).stdout
    done = shell('bash', 'tools/train_rounds.sh', SIMPLE_BASELINE, 1, 1, TEACHER='nowhere.py')
    assert done.returncode == 1 and 'no config nowhere.py (TEACHER names' in done.stdout
