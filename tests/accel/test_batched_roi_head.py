"""As a GPU computes it: the samples and losses of MMDetection's RoI head, where every RoI is taken."""

import copy

import pytest
import torch
from mmdet.core import bbox2roi
from mmdet.core.bbox.assigners import MaxIoUAssigner
from mmdet.core.bbox.samplers import RandomSampler
from torch.testing import assert_close

from ssod.accel import accelerate, sample_rois
from ssod.core.hardware import as_on_a_gpu

ASSIGNER = dict(pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False)
OBJECTS = [torch.tensor([[10.0, 10, 50, 50], [60, 20, 100, 80]]), torch.zeros(0, 4), torch.tensor([[5.0, 5, 90, 60]])]
LABELS = [torch.tensor([0, 2]), torch.zeros(0, dtype=torch.long), torch.tensor([1])]


def proposals():
    torch.manual_seed(0)
    near = [boxes.repeat(4, 1) + torch.randn(4 * len(boxes), 4) * 3 for boxes in OBJECTS]
    far = [torch.rand(n, 2) * 60 for n in (6, 9, 3)]
    return [torch.cat([a, torch.cat([b, b + 20], dim=1)]) for a, b in zip(near, far, strict=True)]


@pytest.mark.parametrize('added', [True, False])
def test_samples_and_their_objects_are_mmdetections(added):
    assigner = MaxIoUAssigner(**ASSIGNER)
    sampler = RandomSampler(num=10**6, pos_fraction=0.5, add_gt_as_proposals=added)
    found = sample_rois(assigner, sampler, proposals(), OBJECTS, LABELS)
    rois = bbox2roi([own.bboxes for own in found])
    assert found.rois.equal(rois) and found.positive[found.positives].all() and len(found.positives) > 6
    for own, boxes, objects, labels in zip(found, proposals(), OBJECTS, LABELS, strict=True):
        theirs = sampler.sample(assigner.assign(boxes, objects, None, labels), boxes, objects, labels)
        order, negatives = own.pos_inds.argsort(), own.neg_inds.argsort()
        for name in ('pos_inds', 'pos_bboxes', 'pos_is_gt', 'pos_assigned_gt_inds', 'pos_gt_bboxes', 'pos_gt_labels'):
            assert_close(getattr(own, name)[order], getattr(theirs, name), msg=name)
        assert_close(own.neg_inds[negatives], theirs.neg_inds)
        assert_close(own.neg_bboxes[negatives], theirs.neg_bboxes)
        assert own.num_gts == theirs.num_gts


@pytest.mark.parametrize('changes', [{}, dict(reg_class_agnostic=True), dict(reg_decoded_bbox=True)])
@pytest.mark.parametrize('objects', [True, False])
def test_losses_and_gradients_are_mmdetections(make_model, make_batch, changes, objects):
    student = make_model().student
    head = student.roi_head
    for name, value in changes.items():
        setattr(head.bbox_head, name, value)
    if changes.get('reg_class_agnostic'):
        head.bbox_head.fc_reg = torch.nn.Linear(head.bbox_head.fc_reg.in_features, 4)
    head.bbox_sampler.num = 10**6
    batch = make_batch()['sup']
    count = len(batch['img'])
    boxes, labels = (OBJECTS[::2] * count)[:count], (LABELS[::2] * count)[:count]
    if not objects:
        boxes, labels = [OBJECTS[1]] * count, [LABELS[1]] * count
    figures = []
    for gpu in (False, True):
        model = accelerate(copy.deepcopy(student), on=gpu)
        features = [level.detach() for level in model.extract_feat(batch['img'])]
        args = features, batch['img_metas'], (proposals()[::2] * count)[:count], boxes, labels
        if gpu:
            with as_on_a_gpu():
                losses = model.roi_head.forward_train(*args)
        else:
            losses = model.roi_head.forward_train(*args)
        total = losses['loss_cls'] + losses['loss_bbox']
        figures.append((losses, torch.autograd.grad(total, list(model.roi_head.bbox_head.parameters()))))
    (losses, grads), (ours, our_grads) = figures
    assert ours.keys() == losses.keys() and (losses['loss_bbox'] > 0) == objects
    for name, value in losses.items():
        assert_close(ours[name].reshape(()), value.reshape(()), rtol=1e-5, atol=1e-6, msg=name)
    assert_close(our_grads, grads, rtol=1e-4, atol=1e-5)
