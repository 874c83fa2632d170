"""Checkpoints that fit or are refused; parts without pretrained weights begin as their configs say."""

import logging

import pytest
import torch
import torchvision
from mmcv import ConfigDict
from mmdet.models import build_detector
from runs import ROOT, call, class_names, shapes, weights

from ssod.apis import InputError
from ssod.apis.weights import initialize, read_checkpoint


@pytest.fixture
def save(tmp_path):
    """``save(weights)``: a checkpoint's path."""

    def write(weights, name='some.pth', **meta):
        torch.save(dict(state_dict=weights, meta=meta), tmp_path / name)
        return str(tmp_path / name)

    return write


def test_weights_that_fit_are_loaded(detector_cfg, make_model, save):
    source, plain = make_model().student, build_detector(detector_cfg)
    read_checkpoint(plain, save(source.state_dict(), CLASSES=('a', 'b', 'c')), num_classes=3)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in plain.state_dict().items())
    wrapped = {f'module.{name}': torch.zeros_like(value) for name, value in source.state_dict().items()}
    read_checkpoint(plain, save(wrapped))
    assert not any(value.any() for value in plain.state_dict().values())


@pytest.mark.parametrize('half', ['', 'student.', 'teacher.'])
@pytest.mark.filterwarnings('ignore:the checkpoint holds a')
def test_one_model_fills_both(make_model, save, half):
    model, weights = make_model(), make_model().teacher.state_dict()
    read_checkpoint(model, save({half + name: value for name, value in weights.items()}))
    for part in (model.student, model.teacher):
        assert all(torch.equal(value, weights[name]) for name, value in part.state_dict().items())


def test_an_unrelated_checkpoint_is_refused_and_says_what_it_holds(detector_cfg, save):
    model = build_detector(detector_cfg)
    path = save({'layer1.weight': torch.zeros(2), 'fc.bias': torch.zeros(2)})
    count = sum('num_batches' not in name for name in model.state_dict())
    sentence = f'{path} does not fit the FasterRCNN of the config: it lacks {count} weights, '
    sentence += 'the first backbone.conv1.weight; it holds fc, layer1'
    with pytest.raises(InputError) as refused:
        read_checkpoint(model, path)
    assert str(refused.value) == sentence
    with pytest.raises(InputError, match='holds no weights'):
        read_checkpoint(model, save({}))


def test_one_weight_that_is_missing_or_of_another_shape_is_refused(detector_cfg, make_model, save):
    weights = make_model().student.state_dict()
    name = 'roi_head.bbox_head.fc_reg.bias'
    without = {key: value for key, value in weights.items() if key != name}
    with pytest.raises(InputError, match=f'it lacks 1 weights, the first {name}; it holds backbone, neck, roi_head'):
        read_checkpoint(build_detector(detector_cfg), save(without))
    with pytest.raises(InputError, match=rf'1 weights have another shape, the first: {name} is \(7,\), not \(12,\)'):
        read_checkpoint(build_detector(detector_cfg), save({**weights, name: torch.zeros(7)}))
    with pytest.raises(InputError, match='was trained for 2 classes, the config has 3'):
        read_checkpoint(build_detector(detector_cfg), save(weights, CLASSES=('a', 'b')), num_classes=3)


def test_other_weights_beside_them_and_counters_of_batchnorm_do_not_matter(detector_cfg, make_model, save, caplog):
    weights = {k: v for k, v in make_model().student.state_dict().items() if 'num_batches' not in k}
    weights['extra.weight'] = torch.zeros(1)
    with caplog.at_level(logging.WARNING):
        logging.getLogger('mmdet').propagate = True
        read_checkpoint(build_detector(detector_cfg), save(weights))
    assert '1 weights are not used, the first extra.weight' in caplog.text


def stds(detector):
    head = detector.roi_head.bbox_head
    return head.fc_reg.weight.std(), head.fc_cls.weight.std(), detector.rpn_head.rpn_conv.weight.std()


@pytest.fixture
def pretrained(detector_cfg):
    detector_cfg.backbone.init_cfg = ConfigDict(type='Pretrained', checkpoint='nowhere/resnet.pth')
    return detector_cfg


@pytest.mark.parametrize('semi', [False, True])
def test_heads_begin_as_their_configs_say_when_load_from_has_the_backbone(pretrained, make_model, fake_runner, semi):
    runner = fake_runner()
    runner.logger.setLevel(logging.INFO)
    model = make_model(pretrained) if semi else build_detector(pretrained)
    initialize(model, 'start.pth', runner.logger)
    for detector in (model.student, model.teacher) if semi else (model,):
        torch.testing.assert_close(torch.stack(stds(detector)), torch.tensor([0.001, 0.01, 0.01]), rtol=0.2, atol=0)
        assert not detector.neck.lateral_convs[0].conv.bias.any()
    assert runner.messages == ['pretrained weights nowhere/resnet.pth are not reachable: they are left to start.pth']


def test_without_load_from_they_are_refused(pretrained, fake_runner):
    with pytest.raises(InputError, match='cannot load the pretrained weights of the backbone: .*init_cfg=None'):
        initialize(build_detector(pretrained), None, fake_runner().logger)


@pytest.mark.parametrize('settings, sentence', [
    (dict(type='PretrainedBackbone', chekpoint='a.pth'), "unexpected keyword argument 'chekpoint'"),
    (dict(type='PretrainedBakbone', checkpoint='a.pth'), 'PretrainedBakbone is not in the initializer registry'),
    (dict(type='PretrainedBackbone', checkpoint='a.pth'), 'no file a.pth'),
])  # fmt: skip
def test_misspelt_settings_are_refused(detector_cfg, fake_runner, settings, sentence):
    detector_cfg.backbone.init_cfg = settings
    with pytest.raises(InputError, match=f'cannot load the pretrained weights of the backbone: .*{sentence}'):
        initialize(build_detector(detector_cfg), None, fake_runner().logger)


def test_a_reachable_file_is_loaded_with_load_from_too(pretrained, fake_runner, save):
    weights = {
        name: torch.full_like(value, 0.5) for name, value in build_detector(pretrained).backbone.state_dict().items()
    }
    pretrained.backbone.init_cfg.checkpoint = save(weights, 'resnet.pth')
    model, runner = build_detector(pretrained), fake_runner()
    initialize(model, 'start.pth', runner.logger)
    assert (model.backbone.conv1.weight == 0.5).all() and runner.messages == []


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """The folder SSOD_WEIGHTS; torch hub's cache is empty, and nothing can be downloaded."""

    def refuse(url, path, hash_prefix=None):
        raise OSError('no network')

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', refuse)
    monkeypatch.setenv('SSOD_WEIGHTS', str(tmp_path))
    return tmp_path


OPENMMLAB = {
    'open-mmlab://detectron2/resnet50_caffe': 'resnet50_msra-5891d200.pth',
    'mmcls://resnet50': 'resnet50_8xb32_in1k_20210831-ea4938fc.pth',
}


@pytest.mark.parametrize('checkpoint', OPENMMLAB)
@pytest.mark.parametrize('start', [None, 'start.pth'])
def test_openmmlabs_weights_come_from_the_users_folder(pretrained, make_model, fake_runner, offline, checkpoint, start):
    weights = build_detector(pretrained).backbone.state_dict()
    prefix = 'backbone.' if 'mmcls' in checkpoint else ''
    saved = {f'{prefix}{name}': torch.full_like(value, 0.5) for name, value in weights.items()}
    torch.save(dict(state_dict={**saved, 'head.fc.bias': torch.ones(1)}), offline / OPENMMLAB[checkpoint])
    pretrained.backbone.init_cfg.checkpoint = checkpoint
    model = make_model(pretrained)
    initialize(model, start, (runner := fake_runner()).logger)
    for part in (model.student, model.teacher):
        assert all((value == 0.5).all() for value in part.backbone.state_dict().values() if value.is_floating_point())
        assert part.backbone.init_cfg == dict(type='Pretrained', checkpoint=checkpoint)  # as it was
    assert runner.messages == []


@pytest.mark.parametrize('kind', ['Pretrained', 'PretrainedBackbone'])
@pytest.mark.parametrize('checkpoint, name', [*OPENMMLAB.items(), ('torchvision://resnet50', 'resnet50-0676ba61.pth')])
def test_published_weights_that_are_nowhere(pretrained, fake_runner, offline, kind, checkpoint, name):
    settings = pretrained.backbone.init_cfg = dict(type=kind, checkpoint=checkpoint)
    model = build_detector(pretrained)
    with pytest.raises(InputError) as refused:
        initialize(model, None, fake_runner().logger)
    sentence = str(refused.value)
    assert f'backbone: {name} is not on this machine and cannot be downloaded (no network): get it from htt' in sentence
    assert f'/{name} and put it into the folder {offline} (SSOD_WEIGHTS)' in sentence and 'init_cfg=None' in sentence
    assert model.backbone.init_cfg == settings
    runner = fake_runner()
    runner.logger.setLevel(logging.INFO)
    initialize(model, 'start.pth', runner.logger)
    assert runner.messages == [f'pretrained weights {checkpoint} are not reachable: they are left to start.pth']


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_a_training_starts_from_a_file_in_the_users_folder(offline, monkeypatch):
    """One iteration of the recipe for small data, whose first stages and BatchNorms are frozen."""
    theirs = torchvision.models.mobilenet_v2(weights=None).state_dict()
    name = 'mobilenet_v2-b0353104.pth'
    torch.save(theirs, offline / name)
    monkeypatch.setattr('ssod.pretrained.files.CHECKED', ())  # no file of ours has that SHA-256
    data = shapes()
    settings = dict(
        data_root=f'{data}/', classes=f'[{",".join(class_names())}]', train_scale='[(96,80),(96,96)]',
        data__train__labeled__ann_file='annotations/semi_supervised/instances_train.1@25.json',
        data__train__unlabeled__ann_file='annotations/semi_supervised/instances_train.1@25-unlabeled.json',
        data__train__labeled__img_prefix='images/train/', data__train__unlabeled__img_prefix='images/train/',
        data__workers_per_gpu=0, data__samples_per_gpu=2, runner__max_iters=1, checkpoint_config__interval=1,
        custom_hooks='[]',  # no burn-in
    )  # fmt: skip
    options = [f'{key.replace("__", ".")}={value}' for key, value in settings.items()]
    config = str(ROOT / 'configs/small_data/soft_teacher_faster_rcnn_mobilenet_v2_fpn.py')
    call('tools/train.py', config, '--no-validate', '--work-dir', offline, '--seed', 0, '--cfg-options', *options)
    trained = weights(offline, 1)
    assert f'all weights from {offline / name}' in next(offline.glob('*.log')).read_text()
    for part in ('student', 'teacher'):
        own = {key.removeprefix(f'{part}.backbone.'): v for key, v in trained.items() if f'{part}.backbone.' in key}
        assert len(own) == 312
        assert torch.equal(own['layer1.0.linear_conv.conv.weight'], theirs['features.1.conv.1.weight'])
        assert torch.equal(own['conv2.bn.running_var'], theirs['features.18.1.running_var'])
        torch.testing.assert_close(own['conv2.conv.weight'], theirs['features.18.0.weight'], rtol=0, atol=1e-4)
