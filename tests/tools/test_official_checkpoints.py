"""Checkpoints of the authors' repository, made here as its code makes them."""

import json
import math
from collections import OrderedDict

import pytest
import torch
from mmcv.runner import save_checkpoint
from mmdet.models import build_detector
from runs import SOFT_TEACHER, call, class_names, refusal, taught

from ssod.apis import load_config


@pytest.fixture(scope='module')
def official(checkpoint, tmp_path_factory):
    """Our trained weights as the authors' run would have saved them: teacher first, one optimizer over both models."""
    model = build_detector(load_config(SOFT_TEACHER, {'classes': class_names()}).model)
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    both = torch.nn.Module()
    both.teacher, both.student = model.teacher, model.student
    optimizer = torch.optim.SGD(both.parameters(), lr=0.01, momentum=0.9)
    sum(p.sum() for p in both.student.parameters()).backward()
    optimizer.step()
    meta = dict(
        mmdet_version='2.16.0+fe46ffe',
        CLASSES=tuple(class_names()),
        env_info='sys.platform: linux',
        config="model = dict(type='SoftTeacher')",
        seed=None,
        exp_name='theirs.py',
        hook_msgs=dict(last_ckpt='iter_4.pth'),
        fp16=dict(loss_scaler=dict(scale=512.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000)),
        epoch=1,
        iter=3,
    )
    path = tmp_path_factory.mktemp('official') / 'iter_4.pth'
    save_checkpoint(both, str(path), optimizer=optimizer, meta=meta)
    return path


def test_names_are_those_of_two_plain_detectors(official):
    detector = build_detector(load_config(SOFT_TEACHER).model.detector)
    names = list(detector.state_dict())
    assert list(torch.load(official)['state_dict']) == [f'{half}.{k}' for half in ('teacher', 'student') for k in names]


def test_it_evaluates_as_the_same_weights_of_ours(official, checkpoint, tmp_path):
    results = []
    for path, folder in ((checkpoint, 'ours'), (official, 'theirs')):
        arguments = ['--eval', 'bbox', '--eval-on', 'teacher', '--work-dir', tmp_path / folder]
        call('tools/test.py', SOFT_TEACHER, path, *arguments, *taught())
        results.append(json.loads((tmp_path / folder / 'eval.json').read_text()))
    assert results[0] == results[1] and not math.isnan(results[0]['teacher_bbox_mAP'])


def test_a_run_starts_from_it(official, tmp_path):
    options = taught(load_from=official, optimizer__lr=0, optimizer__weight_decay=0, runner__max_iters=1)
    options += ['checkpoint_config.interval=1', 'custom_hooks=[]']
    call('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, '--no-validate', *options)
    before, after = (torch.load(path)['state_dict'] for path in (official, tmp_path / 'iter_1.pth'))
    assert isinstance(before, OrderedDict) and before.keys() == after.keys()
    before.update({name.replace('student.', 'teacher.'): before[name] for name in before if 'student.' in name})
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed and all(name.startswith('student.') for name in changed)  # iteration 0 has copied it to the teacher
    assert {name.rsplit('.', 1)[1] for name in changed} <= {'running_mean', 'running_var', 'num_batches_tracked'}


def test_a_run_does_not_continue_with_an_optimizer_over_both_models(official, tmp_path):
    sentence = refusal('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, '--resume-from', official, *taught())
    assert f'cannot load the checkpoint {official}: loaded state dict' in sentence
    assert not list(tmp_path.glob('*.pth'))
