"""Networks of timm as backbones; without timm, what to install."""

import sys

import pytest
import torch
from mmcv import ConfigDict
from mmdet.models import build_backbone
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssod.apis import InputError
from ssod.core.errors import building


def cfg(**settings) -> ConfigDict:
    return ConfigDict(dict(type='TimmBackbone', model_name='resnet18') | settings)


@pytest.fixture
def timm():
    return pytest.importorskip('timm')


def test_without_timm_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with (
        pytest.raises(InputError, match=r'TimmBackbone needs timm \(.*\): pip install ssod\[timm\]$'),
        building('model'),
    ):
        build_backbone(cfg())


def test_pretrained_is_said_in_init_cfg():
    with pytest.raises(InputError, match='TimmBackbone has no `pretrained`: set init_cfg=dict'), building('model'):
        build_backbone(cfg(pretrained=True))


@pytest.mark.parametrize('settings, sentence', [
    (dict(model_name='resnet19'), r"timm has no network 'resnet19': did you mean 'resnet\d+'"),
    (dict(out_indices=(1, 9)), r'timm gives no feature maps \(1, 9\) of resnet18'),
    (dict(nonsense=3), "unexpected keyword argument 'nonsense'"),
])  # fmt: skip
def test_what_timm_does_not_have(timm, settings, sentence):
    with pytest.raises(InputError, match=sentence), building('model'):
        build_backbone(cfg(**settings))


# A network with names as they are, with first dots that became underscores, wrapped as a whole, with channels last.
NETWORKS = {
    'resnet18': dict(out_indices=(1, 2, 3, 4)),
    'convnext_atto': dict(out_indices=(0, 1, 2, 3)),
    'vit_tiny_patch16_224': dict(out_indices=(3, 5), img_size=64),
    'swin_tiny_patch4_window7_224': dict(out_indices=(0, 1), img_size=64),
}


@torch.no_grad()
@pytest.mark.parametrize('name', NETWORKS)
def test_feature_maps_are_those_of_the_whole_network_in_the_file(timm, tmp_path, name):
    torch.manual_seed(0)
    settings = NETWORKS[name]
    whole = timm.create_model(name, **{k: v for k, v in settings.items() if k == 'img_size'}).eval()
    torch.save(whole.state_dict(), tmp_path / 'whole.pth')
    init_cfg = dict(type='PretrainedBackbone', checkpoint=str(tmp_path / 'whole.pth'))
    backbone = build_backbone(cfg(model_name=name, init_cfg=init_cfg, **settings))
    backbone.init_weights()
    images = torch.randn(2, 3, 64, 64)
    features = backbone.eval()(images)
    assert [f.shape[1] for f in features] == list(backbone.feature_info.channels())
    assert [64 // f.shape[2] for f in features] == list(backbone.feature_info.reduction())
    indices = list(settings['out_indices'])
    expected = whole.forward_intermediates(images, indices=indices, intermediates_only=True)
    for ours, theirs in zip(features, expected, strict=True):
        assert theirs.std() > 0.01
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_a_safetensors_file_and_weights_of_another_network(timm, tmp_path):
    save_file = pytest.importorskip('safetensors.torch').save_file
    for name in ('resnet18', 'resnet34'):
        save_file(timm.create_model(name).state_dict(), tmp_path / f'{name}.safetensors')
    init_cfg = dict(type='PretrainedBackbone', checkpoint=str(tmp_path / 'resnet18.safetensors'))
    build_backbone(cfg(out_indices=(1, 2), init_cfg=init_cfg)).init_weights()
    init_cfg.update(checkpoint=str(tmp_path / 'resnet34.safetensors'))
    with pytest.raises(InputError, match='does not fit the TimmBackbone .* 96 weights more, the first model.layer1.2'):
        build_backbone(cfg(init_cfg=init_cfg)).init_weights()


def test_batchnorm_keeps_its_statistics_in_training_unless_it_is_to_learn_them(timm):
    images = torch.randn(2, 3, 64, 64)
    for norm_eval in (True, False):
        backbone = build_backbone(cfg(norm_eval=norm_eval)).train()
        assert backbone.training and backbone.model.layer1.training
        backbone(images)
        assert torch.equal(backbone.model.bn1.running_mean, torch.zeros(64)) == norm_eval


def test_sync_bn_keeps_the_activations_and_waits_for_a_gpu(timm, monkeypatch):
    settings = cfg(model_name='xception41', out_indices=(1, 4), norm_eval=False, sync_bn=True)
    plain = build_backbone(settings)
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in plain.modules())
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    synced = build_backbone(settings)
    norms = [module for module in synced.modules() if isinstance(module, _BatchNorm)]
    assert norms and all(isinstance(module, nn.SyncBatchNorm) for module in norms)
    synced.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 64, 64)
    for ours, theirs in zip(synced.eval()(image), plain.eval()(image), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_segmentor_has_it_and_dsbn_keeps_its_activations(timm):
    mmseg = pytest.importorskip('mmseg.models')
    from ssod.segmentation import dsbn

    settings = dict(type='TimmBackbone', model_name='xception41', out_indices=(1, 4), output_stride=16)
    backbone = mmseg.build_backbone(settings | dict(norm_eval=False)).eval()
    assert list(backbone.feature_info.channels()) == [256, 2048]
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = backbone(images)
        assert [tuple(level.shape[2:]) for level in before] == [(16, 16), (4, 4)] and before[0].min() == 0
        after = dsbn.convert(backbone)(images)
        assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
        backbone.train()
        with dsbn.weak_images(backbone, 1):
            halves = backbone(images)
    stem = next(module for module in backbone.modules() if isinstance(module, dsbn.DSBN))
    assert halves[0].min() == 0 and not torch.equal(stem.main_bn.running_mean, stem.aux_bn.running_mean)


def test_a_detector_over_it_trains(timm, detector_cfg, make_model, make_batch):
    detector_cfg.backbone = cfg(model_name='mobilenetv3_small_050', out_indices=(2, 3, 4))
    channels = build_backbone(detector_cfg.backbone).feature_info.channels()
    detector_cfg.neck.in_channels = list(channels)
    losses = make_model(detector_cfg).train_step(make_batch())
    losses['loss'].backward()
    assert losses['loss'].isfinite() and losses['log_vars']['unsup_loss_cls'] >= 0
