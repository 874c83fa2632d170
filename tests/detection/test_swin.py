"""Swin backbones: the same maps as MMDetection's, the authors' files, memory for time."""

import copy

import pytest
import torch
from mmcv import ConfigDict
from mmdet.models import build_backbone
from mmdet.models.backbones import SwinTransformer

from ssod.apis import InputError
from ssod.core import EMA
from ssod.core.ema import paired_tensors, update_teacher

TINY = dict(embed_dims=8, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4), window_size=4, drop_path_rate=0.3)


def build(**settings):
    torch.manual_seed(0)
    backbone = build_backbone(ConfigDict(dict(type='SwinBackbone', **TINY) | settings))
    for value in backbone.parameters():
        torch.nn.init.normal_(value, std=0.2)
    return backbone


def official(backbone):
    """A backbone's weights by the authors' names and in their order, as a classification model's file has them."""
    weights = {'norm.weight': torch.ones(64), 'norm.bias': torch.zeros(64), 'head.weight': torch.zeros(10, 64)}
    for name, value in backbone.state_dict().items():
        if name.startswith('norm'):
            continue
        if 'downsample' in name:
            # Theirs are the four neighbors (0, 0), (1, 0), (0, 1), (1, 1) one after another, all channels of each;
            # torch's unfold has the channels outside, (y, x) in reading order inside.
            inner = value.unflatten(-1, (-1, 4))[..., [0, 2, 1, 3]].transpose(-1, -2)
            value = inner.flatten(-2)
        for ours, theirs in (
            ('stages', 'layers'), ('attn.w_msa', 'attn'), ('ffn.layers.0.0', 'mlp.fc1'), ('ffn.layers.1', 'mlp.fc2'),
            ('projection', 'proj'),
        ):  # fmt: skip
            name = name.replace(ours, theirs)
        weights[name] = value.clone()
    weights['layers.0.blocks.1.attn_mask'] = torch.zeros(3, 16, 16)
    return weights


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.randn(2, 3, 50, 70)


def test_maps_are_those_of_mmdetections_own(images):
    ours, host = build(with_cp=True).eval(), SwinTransformer(**TINY)
    host.load_state_dict(ours.state_dict())
    host.eval()
    with torch.no_grad():
        for one, other in zip(ours(images), host(images), strict=True):
            assert torch.equal(one, other)
    assert ours.train() is ours and ours.eval() is ours


def test_checkpointing_changes_no_gradient_and_takes_no_reentrant_form(images, recwarn):
    plain = build()
    saving = build(with_cp=True)
    saving.load_state_dict(plain.state_dict())
    for backbone in (plain, saving, copy.deepcopy(saving)):
        backbone.train()
        torch.manual_seed(5)  # stochastic depth draws the same in both passes
        sum(level.square().mean() for level in backbone(images)).backward()
        # A second use in a step, as a student is used; the reentrant form would not take it under DDP.
        sum(level.square().mean() for level in backbone(images * 0.5)).backward()
        for (name, one), other in zip(backbone.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, msg=name)
    assert not [warning for warning in recwarn if 'reentrant' in str(warning.message)]
    names = [type(block).__name__ for stage in saving.stages for block in stage.blocks]
    assert set(names) == {'CheckpointedBlock'}


def test_less_is_kept_for_the_backward_pass(images):
    kept = []
    for with_cp in (False, True):
        backbone, total = build(with_cp=with_cp).train(), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, total=total: total.append(t.numel()) or t, lambda t: t):
            backbone(images)
        kept.append(sum(total))
    assert kept[1] < kept[0] / 3


def test_the_authors_files(tmp_path, images):
    source = build().eval()
    torch.save(dict(model=official(source)), tmp_path / 'swin.pth')
    init_cfg = dict(type='PretrainedBackbone', checkpoint=str(tmp_path / 'swin.pth'))
    torch.manual_seed(3)
    backbone = build_backbone(ConfigDict(dict(type='SwinBackbone', **TINY, init_cfg=init_cfg))).eval()
    norms = {name: value.clone() for name, value in backbone.state_dict().items() if name.startswith('norm')}
    backbone.init_weights()
    state = source.state_dict()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, norms.get(name, state[name])), name
    host = SwinTransformer(**TINY, convert_weights=True, init_cfg=ConfigDict(init_cfg))
    host.init_weights()
    for name, value in host.state_dict().items():
        assert torch.equal(value, backbone.state_dict()[name]), name


def test_relative_positions_are_numbered_as_the_authors_do():
    index = build().stages[0].blocks[0].attn.w_msa.relative_position_index
    for i in range(16):
        for j in range(16):
            dy, dx = i // 4 - j // 4 + 3, i % 4 - j % 4 + 3
            assert index[i, j] == dy * 7 + dx


def test_another_window_and_a_detectors_file(tmp_path):
    source = build()
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in source.state_dict().items()}), tmp_path / 'det.pth')
    init_cfg = dict(type='PretrainedBackbone', checkpoint=str(tmp_path / 'det.pth'))
    same = build_backbone(ConfigDict(dict(type='SwinBackbone', **TINY, init_cfg=init_cfg)))
    same.init_weights()
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in same.state_dict().items())
    wider = build_backbone(ConfigDict(dict(type='SwinBackbone', **{**TINY, 'window_size': 6}, init_cfg=init_cfg)))
    wider.init_weights()
    name = 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table'
    assert wider.state_dict()[name].shape == (121, 1)
    torch.testing.assert_close(wider.state_dict()[name].mean(), source.state_dict()[name].mean(), atol=0.05, rtol=0)
    for settings, sentence in (
        (dict(depths=(2, 2, 4, 2)), 'it lacks 26 weights'),
        (dict(embed_dims=16), 'have another shape'),
        (dict(depths=(2, 2, 1, 2)), 'weights more'),
    ):
        other = build_backbone(ConfigDict(dict(type='SwinBackbone', **{**TINY, **settings}, init_cfg=init_cfg)))
        with pytest.raises(InputError, match=sentence):
            other.init_weights()


def test_settings_that_would_do_nothing_are_refused():
    for name in ('convert_weights', 'pretrained'):
        with pytest.raises(InputError, match=f'SwinBackbone has no `{name}`: write init_cfg'):
            build(**{name: True})


def test_a_teacher_averages_tables_and_copies_positions():
    student, teacher = build(), build()
    for value in student.parameters():
        value.data += 1
    update_teacher(paired_tensors(student, teacher), EMA().momentum_at(10**6), everything=False)
    name = 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table'
    momentum = EMA().momentum_at(10**6)
    before = build().state_dict()[name]
    torch.testing.assert_close(teacher.state_dict()[name], before + (1 - momentum))
    index = name.replace('bias_table', 'index')
    assert torch.equal(teacher.state_dict()[index], student.state_dict()[index])
