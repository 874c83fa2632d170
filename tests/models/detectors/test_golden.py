"""The authors' implementation and ours on the same weights and images."""

import importlib.util
import json

import pytest
import torch
from mmcv import ConfigDict

from ssod.apis.train import prepare_for_training
from ssod.models import JitterVarianceFilter, SoftTeacher


@pytest.fixture
def case(golden):
    spec = importlib.util.spec_from_file_location('golden_case', golden / 'case.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def official(golden):
    return json.loads((golden / 'official.json').read_text())


@pytest.fixture
def model(case):
    cfg = dict(
        unsup_weight=4.0,
        rpn_filter=dict(type='ScoreFilter', thr=0.8),
        cls_filter=dict(type='ScoreFilter', thr=0.8),
        reg_filter=dict(type='JitterVarianceFilter', thr=1e9),
    )
    model = SoftTeacher(ConfigDict(case.detector_cfg()), cfg)
    case.fill(model)
    return model.train()


@pytest.mark.parametrize('channels_last', [None, False, True])
def test_losses_and_gradients_equal_the_authors(case, official, model, channels_last):
    """As built, and as training prepares it."""
    if channels_last is not None:
        prepare_for_training(model, channels_last)
    result = model.train_step(case.branches())
    for name, value in official['reg_all']['losses'].items():
        assert result['log_vars'][name] == pytest.approx(value, rel=1e-3, abs=1e-6), name
    result['loss'].backward()
    parameters = dict(model.student.named_parameters())
    for name, value in official['reg_all']['grad_norms'].items():
        assert parameters[name].grad.norm().item() == pytest.approx(value, rel=5e-3), name


def test_the_teacher_finds_as_many_candidates_as_the_authors(case, official, model):
    _, candidates, _ = model.find_candidates(case.branches()['unsup_teacher'])
    assert [len(labels) for labels in candidates] == official['reg_all']['num_teacher']


def test_the_jitter_variance_of_given_boxes_equals_the_authors(case, official, model):
    batch, figures = case.branches()['unsup_teacher'], official['jitter']
    bboxes = [torch.tensor(boxes)[:, :4] for boxes in figures['boxes']]
    labels = [torch.tensor(label) for label in figures['labels']]
    with torch.no_grad():
        feats = model.teacher.extract_feat(batch['img'])
    torch.manual_seed(figures['seed'])
    variance = JitterVarianceFilter().variance(model.teacher.roi_head, feats, batch['img_metas'], bboxes, labels)
    for ours, theirs in zip(variance, figures['variance'], strict=True):
        torch.testing.assert_close(ours, torch.tensor(theirs), rtol=1e-3, atol=1e-6)


def test_inference_equals_the_authors(case, official, model):
    batch = case.branches()['sup']
    with torch.no_grad():
        result = model.eval()([batch['img'][:1]], [batch['img_metas'][:1]], return_loss=False, rescale=False)[0]
    figures = official['inference_student']
    assert [len(boxes) for boxes in result] == figures['counts']
    for boxes, top in zip(result, figures['top'], strict=True):
        assert boxes[:3, 4].tolist() == pytest.approx(top, abs=1e-4)
