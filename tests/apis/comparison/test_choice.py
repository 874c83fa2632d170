"""Which checkpoint and model count for a run."""

import json

import pytest
from mmcv import Config

from ssod.apis import InputError
from ssod.apis.comparison.choice import choose
from ssod.hooks import Best

CFG = Config(dict(runner=dict(max_iters=9), evaluation=dict(interval=4)))


def log(folder, *entries):
    lines = [json.dumps(dict(mode='val', iter=iteration, **scores)) for iteration, scores in entries]
    (folder / '1.log.json').write_text('\n'.join(lines))


def test_the_better_model_of_the_last_checkpoint(tmp_path):
    log(tmp_path, (4, dict(student_mAP=0.9)), (9, dict(student_mAP=0.3, teacher_mAP=0.312)))
    found = choose(tmp_path, CFG, 'mAP')
    assert found == (tmp_path / 'iter_9.pth', 'teacher', 'last iteration, student 30.0, teacher 31.2')
    log(tmp_path, (9, dict(student_mAP=0.3)))
    assert choose(tmp_path, CFG, 'mAP').model == 'student'


def test_the_best_checkpoint_if_one_is_kept(tmp_path):
    log(tmp_path, (9, dict(student_mAP=0.3, teacher_mAP=0.4)))
    Best('mAP', 0.5, 4, 'student', 'best.pth').write(tmp_path)
    assert choose(tmp_path, CFG, 'mAP') == (tmp_path / 'best.pth', 'student', 'best, iteration 4')


def test_refusals(tmp_path):
    with pytest.raises(InputError, match='is not finished'):
        choose(tmp_path, CFG, 'mAP')
    log(tmp_path, (8, dict(student_mAP=0.3)))  # there is an evaluation at the end, at 9
    with pytest.raises(InputError, match='is not finished'):
        choose(tmp_path, CFG, 'mAP')
    log(tmp_path, (9, dict(bbox=0.3)))
    with pytest.raises(InputError, match='has no mAP of student or teacher'):
        choose(tmp_path, CFG, 'mAP')
