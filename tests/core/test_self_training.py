"""Self-training: the student's own losses, on labels and on pseudo labels."""

import pytest
import torch
from detectors import cascade_mask_rcnn, hybrid_task_cascade, mask_rcnn, with_masks
from mmdet.models import DETECTORS, build_detector
from tiny import lively
from torch import nn

from ssod.compat import DistributedDataParallel
from ssod.core import SelfTrainingModel
from ssod.detection import SelfTraining

NAMES = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox')


@DETECTORS.register_module(force=True)
class OneWeight(nn.Module):
    """A student of another task: its loss is its weight times the mean of its map."""

    def __init__(self, train_cfg=None, test_cfg=None):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward_train(self, img, img_metas, gt_semantic_seg):
        return {'decode.loss_ce': self.weight * gt_semantic_seg.mean(), 'decode.acc_seg': torch.tensor([50.0])}


class SelfTrainingOfMaps(SelfTrainingModel):
    """The method on a task of its own: no room of detection takes part."""

    build_model = staticmethod(build_detector)


def one_weight():
    cfg = dict(sup_weight=1.0, unsup_weight=2.0, loss_names=('decode.loss_ce', 'decode.acc_seg'))
    return SelfTrainingOfMaps(dict(type='OneWeight'), cfg).train()


def maps(value):
    return dict(img=torch.zeros(1, 3, 4, 4), img_metas=[{}], gt_semantic_seg=torch.full((1, 1, 4, 4), value))


@pytest.fixture
def model(detector_cfg):
    model = SelfTraining(detector_cfg, dict(sup_weight=0.5, unsup_weight=2.0))
    lively(model)
    return model.train()


@pytest.fixture
def batch(make_view):
    """A labeled image, and two with pseudo labels."""
    sup, strong = make_view(['s']), make_view(['u', 'v'])
    sup.update(gt_bboxes=[torch.tensor([[10.0, 10, 60, 70], [50, 40, 120, 90]])], gt_labels=[torch.tensor([0, 2])])
    boxes = [torch.tensor([[20.0, 20, 80, 60]]), torch.zeros(0, 4)]
    strong.update(gt_bboxes=boxes, gt_labels=[torch.tensor([1]), torch.zeros(0, dtype=torch.long)])
    return dict(sup=sup, unsup_student=strong)


def test_hand_worked_loss_and_gradient_of_a_student_that_knows_no_boxes():
    # 3 * 2 + 2 * (3 * 5) = 36; the derivative by the weight is 2 + 2 * 5 = 12.
    model = one_weight()
    result = model.train_step(dict(sup=maps(2.0), unsup_student=maps(5.0)))
    result['loss'].backward()
    assert result['loss'].item() == 36.0 and model.student.weight.grad.item() == 12.0
    assert result['num_samples'] == 2
    assert result['log_vars'] == {
        'sup_decode.loss_ce': 6.0,
        'sup_decode.acc_seg': 50.0,
        'unsup_decode.loss_ce': 30.0,
        'unsup_decode.acc_seg': 50.0,
        'loss': 36.0,
    }


def test_both_branches_are_the_detectors_own_losses(model, batch):
    losses = model(**batch)
    assert list(losses) == [prefix + name for prefix in ('sup_', 'unsup_') for name in NAMES] + ['num_pseudo_cls']
    assert losses['num_pseudo_cls'] == 0.5
    for branch, prefix, weight in (('sup', 'sup_', 0.5), ('unsup_student', 'unsup_', 2.0)):
        for name, value in model.student.forward_train(**batch[branch]).items():
            value = sum(value) if isinstance(value, list) else value
            expected = value * (weight if 'loss' in name else 1)
            torch.testing.assert_close(losses[prefix + name], expected.reshape(()), rtol=1e-5, atol=1e-6)
    assert all(losses[f'unsup_{name}'] > 0 for name in NAMES)


@pytest.mark.parametrize('detector', [mask_rcnn, cascade_mask_rcnn, hybrid_task_cascade])
def test_masks_and_stages_are_named_by_themselves(detector_cfg, batch, detector):
    model = SelfTraining(detector(detector_cfg))
    lively(model)
    batch = {name: with_masks(view) for name, view in batch.items()}
    if detector is not hybrid_task_cascade:  # others do not take the map
        for view in batch.values():
            del view['gt_semantic_seg']
    losses = model.train()(**batch)
    expected = [name for name in losses if name.startswith('unsup_')]
    assert [f'unsup_{name}' for name in model.loss_names()] == expected and list(model()) == list(losses)
    assert sum(name.endswith('loss_mask') for name in expected) == (1 if detector is mask_rcnn else 3)
    assert all(losses[name] > 0 for name in expected if 'loss_mask' in name)
    assert ('unsup_loss_semantic_seg' in expected) == (detector is hybrid_task_cascade)


def test_the_teacher_is_asked_nothing(model, batch, monkeypatch):
    monkeypatch.setattr(model.teacher, 'extract_feat', None)
    model.train_step(batch)['loss'].backward()
    assert all(p.grad is None for p in model.teacher.parameters())


@pytest.mark.parametrize('present', [(), ('sup',), ('unsup_student',), ('sup', 'unsup_student')])
def test_keys_are_the_same_and_every_parameter_learns_whichever_branch_is_missing(model, batch, present):
    batch = {name: batch[name] for name in present}
    assert list(model(**batch)) == list(model())
    model.train_step(batch)['loss'].backward()
    assert [n for n, p in model.student.named_parameters() if p.requires_grad and p.grad is None] == []


def test_a_strong_view_whose_boxes_are_all_gone_is_background(model, batch):
    strong = batch['unsup_student']
    strong.update(gt_bboxes=[torch.zeros(0, 4)] * 2, gt_labels=[torch.zeros(0, dtype=torch.long)] * 2)
    losses = model(**batch)
    assert losses['unsup_loss_bbox'] == 0 and losses['unsup_loss_rpn_bbox'] == 0
    assert losses['unsup_loss_cls'] > 0 and losses['unsup_loss_cls'].isfinite()


def test_ranks_with_one_branch_each_average_their_gradients(on_two_ranks):
    # Rank 0 has labels alone: gradient 2. Rank 1 has pseudo labels alone: 2 * 5.
    def step(rank):
        model = DistributedDataParallel(one_weight(), None, broadcast_buffers=False)
        result = model.train_step(dict(unsup_student=maps(5.0)) if rank else dict(sup=maps(2.0)), None)
        result['loss'].backward()
        return torch.stack([model.module.student.weight.grad, torch.tensor(result['log_vars']['loss'])])

    for values in on_two_ranks(step):
        assert values.tolist() == [6.0, 18.0]  # (6 + 30) / 2


def test_losses_without_a_name_are_refused():
    model = one_weight()
    model.semi_train_cfg.loss_names = ('decode.loss_ce', 'decode.acc_seg', 'aux.loss_ce')
    assert 'sup_aux.loss_ce' in model(sup=maps(1.0))  # a student may leave one out, it counts as zero
    model.semi_train_cfg.loss_names = ('decode.loss_ce',)
    with pytest.raises(ValueError, match=r"gives \['decode.loss_ce', 'decode.acc_seg'\]: name them in"):
        model(sup=maps(1.0))
