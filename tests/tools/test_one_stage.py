"""Mean teachers and Dense Teacher through the tools: train, resume, test, label, publish."""

import functools
import json

import pytest
import torch
from mmcv import Config
from mmdet.apis import inference_detector
from mmdet.apis import init_detector as host_init_detector
from runs import ROOT, assert_same, call, class_names, hook_of, refusal, scratch, shapes, small, weights

RETINANET = str(ROOT / 'configs/demo/mean_teacher_retinanet_r18_shapes.py')
FCOS = str(ROOT / 'configs/demo/mean_teacher_fcos_r18_shapes.py')
# Untrained heads score low: let them be seen.
SEEN = {
    'model.detector.test_cfg.score_thr': 0.0,
    'model.semi_train_cfg.candidate_score_thr': 0.0,
    'model.semi_train_cfg.pseudo_filter.thr': 0.01,
}


def taught(config: str, **settings: object) -> list[str]:
    """Options of a run of 8 iterations, unlabeled images from the third on, pictures every fourth."""
    weight, images = (hook_of(kind, config) for kind in ('UnsupWeightHook', 'PseudoBoxImageHook'))
    hooks = {f'{weight}.burn_in': 2, f'{weight}.ramp': 0, f'{images}.interval': 4}
    return small(**{**hooks, **SEEN, **settings})


@functools.cache
def trained():
    """Work dir of a mean teacher over RetinaNet after 8 iterations."""
    work_dir = scratch() / 'retinanet'
    call('tools/train.py', RETINANET, '--work-dir', work_dir, '--seed', 0, *taught(RETINANET))
    return work_dir


def test_a_run_logs_its_losses_and_pictures_and_evaluates_both():
    lines = [json.loads(line) for line in next(trained().glob('*.log.json')).read_text().splitlines()]
    train = [line for line in lines if line.get('mode') == 'train']
    losses = {f'{branch}_{name}' for branch in ('sup', 'unsup') for name in ('loss_cls', 'loss_bbox')}
    assert losses | {'num_pseudo_cls', 'images_with_boxes', 'teacher_max_score', 'ema_momentum'} <= set(train[-1])
    assert train[0]['unsup_loss_cls'] == 0 and train[-1]['unsup_loss_cls'] > 0 and train[-1]['num_pseudo_cls'] > 0
    assert {'student_bbox_mAP', 'teacher_bbox_mAP'} <= set(lines[-1])
    assert sorted(path.name for path in (trained() / 'pseudo_boxes').iterdir()) == ['iter_4.jpg', 'iter_8.jpg']


def test_a_resumed_run_ends_as_one_that_was_not_stopped(tmp_path):
    options = taught(RETINANET)
    call(
        'tools/train.py',
        RETINANET,
        '--work-dir',
        tmp_path,
        '--seed',
        0,
        '--resume-from',
        trained() / 'iter_4.pth',
        *options,
    )
    assert_same(weights(tmp_path, 8), weights(trained(), 8))


@pytest.mark.parametrize('kind', ['RankThresholdFilter', 'MixtureThresholdFilter'])
def test_a_resumed_run_has_its_thresholds(tmp_path, kind):
    config = tmp_path / 'own.py'
    config.write_text(
        f'_base_ = {FCOS!r}\nmodel = dict(semi_train_cfg=dict(pseudo_filter=dict(_delete_=True, type={kind!r})))\n'
    )
    options = [option for option in taught(str(config), evaluation__interval=100) if 'pseudo_filter' not in option]
    call('tools/train.py', config, '--work-dir', tmp_path / 'whole', '--seed', 0, *options)
    start = tmp_path / 'whole/iter_4.pth'
    call('tools/train.py', config, '--work-dir', tmp_path / 'half', '--seed', 0, '--resume-from', start, *options)
    whole, half = (weights(tmp_path / name, 8) for name in ('whole', 'half'))
    assert_same(whole, half)
    assert any(name.startswith('pseudo_filter.') for name in whole)


def test_tests_labels_and_publishes(tmp_path):
    checkpoint, options = trained() / 'iter_8.pth', small(**SEEN)
    call(
        'tools/test.py', RETINANET, checkpoint, '--eval', 'bbox', '--eval-on', 'both', '--work-dir', tmp_path, *options
    )
    assert {'student_bbox_mAP', 'teacher_bbox_mAP'} <= set(json.loads((tmp_path / 'eval.json').read_text()))
    labels = tmp_path / 'labels.json'
    call('tools/pseudo_label.py', RETINANET, checkpoint, '--out', labels, '--score-thr', 0.01, *options)
    assert json.loads(labels.read_text())['annotations']
    call('tools/publish_model.py', checkpoint, '--out', tmp_path / 'model.pth', '--model', 'teacher')
    (published,), (config,) = tmp_path.glob('model-*.pth'), tmp_path.glob('model-*.py')
    assert Config.fromfile(str(config)).model.type == 'RetinaNet'
    plain = host_init_detector(str(config), str(published), device='cpu')
    teacher = {key: value for key, value in torch.load(checkpoint)['state_dict'].items() if key.startswith('teacher.')}
    assert all(torch.equal(teacher[f'teacher.{key}'], value) for key, value in plain.state_dict().items())
    assert plain.CLASSES == class_names()
    assert len(inference_detector(plain, str(next((shapes() / 'images/val').glob('*.jpg'))))) == 4


def test_half_precision(tmp_path):
    options = [*taught(FCOS, runner__max_iters=4, evaluation__interval=100), 'fp16.dtype=bfloat16']
    call('tools/train.py', FCOS, '--work-dir', tmp_path, '--seed', 0, *options)
    assert all(value.isfinite().all() for value in weights(tmp_path, 4).values())


def dense_teacher(folder) -> str:
    """A config of Dense Teacher over the demo's FCOS and images."""
    (folder / 'dense.py').write_text(
        f'_base_ = [{str(ROOT / "configs/_base_/models/fcos_r18_narrow_scratch.py")!r},\n'
        f'    {str(ROOT / "configs/_base_/datasets/shapes_semi.py")!r},\n'
        f'    {str(ROOT / "configs/_base_/schedules/adamw_scratch.py")!r},\n'
        f'    {str(ROOT / "configs/_base_/runtime.py")!r}]\n'
        "model = dict(_delete_=True, type='DenseTeacher', pretrained=None, detector={{_base_.model}})\n"
        "resize = dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True)\n"
        "weak = [{{_base_.to_batch}}, dict(type='Collect', keys=['img'], meta_keys={{_base_.view_meta}})]\n"
        "fork = dict(type='MultiBranch', unsup_teacher=weak, unsup_student=[dict(type='JitterColor'), *weak])\n"
        "unsup_pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='FlipWithMatrix', flip_ratio=0.5), fork]\n"
        'data = dict(train=dict(unlabeled=dict(pipeline=unsup_pipeline)))\n'
    )
    return str(folder / 'dense.py')


def test_dense_teacher_trains_and_refuses_views_that_differ_before_it_does(tmp_path):
    config = dense_teacher(tmp_path)
    call('tools/train.py', config, '--work-dir', tmp_path / 'run', '--seed', 0, *small(evaluation__interval=100))
    assert all(value.isfinite().all() for value in weights(tmp_path / 'run', 8).values())
    (tmp_path / 'other.py').write_text(
        f"_base_ = {RETINANET!r}\nmodel = dict(type='DenseTeacher', detector={{{{_base_.model.detector}}}},\n"
        '    semi_train_cfg=dict(_delete_=True))\n'
    )
    hook = hook_of('UnsupWeightHook', RETINANET)
    options = small(**{f'{hook}.burn_in': 2, f'{hook}.ramp': 0})
    message = refusal('tools/train.py', tmp_path / 'other.py', '--work-dir', tmp_path / 'no', *options)
    assert 'MultiBranch holds ResizeWithMatrix: put it before MultiBranch' in message
