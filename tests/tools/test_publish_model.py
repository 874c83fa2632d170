"""A plain MMDetection model of student or teacher, which MMDetection's own tools accept."""

import hashlib
import json
import os.path as osp
import shutil
import sys

import mmcv
import mmdet
import numpy as np
import pytest
import torch
from mmcv import Config
from mmdet.models import build_detector
from runs import SOFT_TEACHER, call, class_names, refusal, shell, taught, trained_baseline

from ssod.apis import init_detector, load_config
from ssod.apis.publishing import plain_config, read_settings
from ssod.hooks.best import Best

HOST_TEST = osp.join(osp.dirname(mmdet.__file__), '.mim/tools/test.py')


def publish(checkpoint, folder, *options):
    """Publish into an empty folder; the two files."""
    call('tools/publish_model.py', checkpoint, '--out', folder / 'model.pth', *options)
    (weights,), (config,) = folder.glob('*.pth'), folder.glob('*.py')
    return weights, config


@pytest.fixture(scope='module')
def published(checkpoint, tmp_path_factory):
    """The student's and the teacher's files."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ('student', 'teacher')}
    return {name: publish(checkpoint, folder, '--model', name) for name, folder in folders.items()}


@pytest.mark.parametrize('model', ['student', 'teacher'])
def test_it_takes_the_model_that_the_run_recommends(checkpoint, tmp_path, model):
    run = tmp_path / 'run'
    run.mkdir()
    shutil.copy(checkpoint, run / 'best.pth')
    Best('bbox_mAP', 0.5, 8, model, 'best.pth').write(run)
    weights, _ = publish(run / 'best.pth', tmp_path)
    assert torch.load(weights)['meta']['published'] == model


@pytest.mark.parametrize('name', ['student', 'teacher'])
def test_the_file_holds_one_model_under_plain_names(published, checkpoint, name):
    weights, config = published[name]
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert weights.name == f'model-{digest[:8]}.pth' and config.name == f'model-{digest[:8]}.py'
    source, content = torch.load(checkpoint), torch.load(weights)
    assert content.keys() == {'meta', 'state_dict'}
    expected = {key.split('.', 1)[1]: value for key, value in source['state_dict'].items() if key.startswith(name)}
    assert list(content['state_dict']) == list(expected) and len(expected) == len(source['state_dict']) // 2
    assert all(torch.equal(content['state_dict'][key], value) for key, value in expected.items())
    meta = content['meta']
    assert (meta['CLASSES'], meta['iter'], meta['published']) == (class_names(), source['meta']['iter'], name)
    assert meta['mmdet_version'] == mmdet.__version__ and meta['config'] == config.read_text()
    assert not {'hook_msgs', 'fp16'} & set(meta)


def test_the_config_rebuilds_the_detector(published):
    weights, config = published['student']
    cfg = Config.fromfile(str(config))
    assert (cfg.model.type, cfg.model.roi_head.bbox_head.num_classes) == ('FasterRCNN', 4)
    build_detector(cfg.model).load_state_dict(torch.load(weights)['state_dict'])
    assert 'train' not in cfg.data and '${' not in config.read_text()


def test_the_hosts_own_test_tool_gives_the_same_detections_as_ours(published, checkpoint, tmp_path):
    weights, config = published['teacher']
    arguments = ['--eval', 'bbox', '--work-dir', tmp_path, '--out']
    # From elsewhere and by itself: neither this repository nor its shims.
    run = shell(sys.executable, HOST_TEST, config, weights, *arguments, tmp_path / 'host.pkl', PYTHONPATH='')
    assert run.returncode == 0, run.stdout
    ours = ['--eval-on', 'teacher', *taught(data__test_samples_per_gpu=1)]
    call('tools/test.py', SOFT_TEACHER, checkpoint, *arguments, tmp_path / 'ours.pkl', *ours)
    first, second = mmcv.load(tmp_path / 'host.pkl'), mmcv.load(tmp_path / 'ours.pkl')['teacher']
    assert len(first) == len(second) == 8 and sum(len(boxes) for image in first for boxes in image) > 100
    for image, other in zip(first, second, strict=True):
        for boxes, expected in zip(image, other, strict=True):
            np.testing.assert_allclose(boxes, expected, rtol=1e-5, atol=1e-4)
    metric = json.loads(next(tmp_path.glob('eval_*.json')).read_text())['metric']
    evaluated = json.loads((tmp_path / 'eval.json').read_text())
    assert evaluated['teacher_bbox_mAP_50'] == metric['bbox_mAP_50']


def test_it_starts_a_new_run_of_both_models(published):
    weights, _ = published['teacher']
    model = init_detector(load_config(SOFT_TEACHER, {'custom_hooks': []}), str(weights))
    expected = torch.load(weights)['state_dict']
    for half in (model.student, model.teacher):
        assert all(torch.equal(value, expected[key]) for key, value in half.state_dict().items())


def test_an_authors_checkpoint(published, tmp_path):
    _, config = published['student']
    detector = Config.fromfile(str(config)).model
    model = dict(type='SoftTeacher', model=detector, train_cfg=dict(unsup_weight=4.0), test_cfg=dict())
    run = Config(dict(model=model, data=dict(val=1, test=2, train=3), runner=dict(type='IterBasedRunner', max_iters=9)))
    text = f'{run.pretty_text}\ngpu_ids = range(0, 8)\n'
    state_dict = {'teacher.neck.weight': torch.zeros(1), 'student.neck.weight': torch.ones(1)}
    meta = dict(CLASSES=('a', 'b'), config=text, iter=8, env_info='host', hook_msgs={}, seed=None)
    torch.save(dict(meta=meta, state_dict=state_dict, optimizer={}), tmp_path / 'theirs.pth')
    weights, config = publish(tmp_path / 'theirs.pth', tmp_path / 'out')
    content = torch.load(weights)
    assert content['state_dict'] == {'neck.weight': torch.ones(1)}
    assert content['meta']['CLASSES'] == ('a', 'b') and not {'env_info', 'seed'} & set(content['meta'])
    cfg = Config.fromfile(str(config))
    assert cfg.model == detector and cfg.data == dict(val=1, test=2) and cfg.evaluation.metric == 'bbox'


def test_a_checkpoint_without_a_config(tmp_path, capsys):
    torch.save({'student.a': torch.zeros(1)}, tmp_path / 'bare.pth')
    call('tools/publish_model.py', tmp_path / 'bare.pth', '--out', tmp_path / 'out')
    (weights,) = tmp_path.glob('out-*')
    assert weights.suffix == '.pth' and list(torch.load(weights)['state_dict']) == ['a']
    assert 'holds no config' in capsys.readouterr().out


def test_a_checkpoints_config_is_read_and_not_run(tmp_path):
    lines = ['a = dict(b=[1, dict(c=(-2.5, None))])', f'd = open({str(tmp_path / "x")!r}, "w")', 'e = {"f g": True}']
    text = '\n'.join([*lines, 'import os', 'h = dict(**i)', 'j: int = 1'])
    assert read_settings(text) == {'a': {'b': [1, {'c': (-2.5, None)}]}, 'e': {'f g': True}}
    assert not (tmp_path / 'x').exists()
    for nothing in ('', 'a = (', "model = dict(type='FasterRCNN')", "model = dict(detector=dict(type='FasterRCNN'))"):
        assert plain_config(nothing) is None


def test_refusals(published, checkpoint, tmp_path):
    def refused(path, *options, out=tmp_path / 'x'):
        return refusal('tools/publish_model.py', path, '--out', out, *options)

    assert 'no checkpoint no.pth' in refused('no.pth')
    baseline = trained_baseline() / 'iter_2.pth'
    assert f'{baseline} holds no teacher: it has backbone, neck, roi_head' in refused(baseline, '--model', 'teacher')
    (tmp_path / 'text.pth').write_text('text')
    torch.save([1], tmp_path / 'list.pth')
    for name in ('text', 'list'):
        assert f'cannot load the checkpoint {tmp_path}/{name}.pth' in refused(tmp_path / f'{name}.pth')
    weights, _ = published['student']
    assert f'{weights} exists: choose another --out' in refused(checkpoint, out=weights.parent / 'model.pth')
    assert not list(tmp_path.glob('x*'))
