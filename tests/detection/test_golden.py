"""The authors' implementation and ours on the same weights and images."""

import importlib.util
import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from mmcv import ConfigDict

from ssod.apis.train import prepare_for_training
from ssod.core.hardware import as_on_a_gpu
from ssod.core.task import TASKS
from ssod.detection import JitterVarianceFilter, SoftTeacher
from ssod.detection.heads import Features, RoIStage

# The authors' figures, and the weights and images that they are of.
GOLDEN = Path(__file__).parents[1] / 'data/golden'


@pytest.fixture
def case():
    spec = importlib.util.spec_from_file_location('golden_case', GOLDEN / 'case.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def official():
    return json.loads((GOLDEN / 'official.json').read_text())


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


@pytest.mark.parametrize(
    'fast, channels_last, path',
    [(None, False, 'cpu'), *((True, last, 'cpu') for last in (False, True)), (False, False, 'cpu')]
    + [(True, False, 'gpu'), (False, False, 'gpu')],
)
def test_losses_and_gradients_equal_the_authors(case, official, model, fast, channels_last, path):
    """As built, and as training prepares it; also by the code that a GPU runs."""
    if fast is not None:
        prepare_for_training(TASKS['detection'], model, fast, channels_last)
    with as_on_a_gpu() if path == 'gpu' else nullcontext():
        result = model.train_step(case.branches())
    for name, value in official['reg_all']['losses'].items():
        assert result['log_vars'][name] == pytest.approx(value, rel=1e-3, abs=1e-6), name
    result['loss'].backward()
    parameters = dict(model.student.named_parameters())
    for name, value in official['reg_all']['grad_norms'].items():
        assert parameters[name].grad.norm().item() == pytest.approx(value, rel=5e-3), name


def test_the_teacher_finds_as_many_candidates_as_the_authors(case, official, model):
    found = model.find_pseudo_labels(case.branches()['unsup_teacher'])
    assert [len(labels) for labels in found.candidates] == official['reg_all']['num_teacher']


def test_the_jitter_variance_of_given_boxes_equals_the_authors(case, official, model):
    batch, figures = case.branches()['unsup_teacher'], official['jitter']
    bboxes = [torch.tensor(boxes)[:, :4] for boxes in figures['boxes']]
    labels = [torch.tensor(label) for label in figures['labels']]
    with torch.no_grad():
        features = Features(model.teacher.extract_feat(batch['img']))
    torch.manual_seed(figures['seed'])
    refine = partial(RoIStage(model.teacher).refine, features, batch['img_metas'])
    variance = JitterVarianceFilter().variance(refine, bboxes, labels)
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
