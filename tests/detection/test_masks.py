"""Soft Teacher over Mask R-CNN and Cascade Mask R-CNN: against MMDetection's training, and the method in loops."""

import detectors
import pytest
import torch
from mmdet.core import bbox2roi
from naive import learn, matrix_between, naive_target, set_candidates, teach_the_same_masks, total, true_labels

from ssod.core import in_order_of
from ssod.detection import PseudoLabels, SoftTeacher
from ssod.detection.acts import StudentLabels
from ssod.detection.hooks import draw_pseudo_boxes

NAMES = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox', 'loss_mask')
ALWAYS, SURE = dict(type='ScoreFilter', thr=0.0), dict(type='ScoreFilter', thr=0.6)
TURN = [[0.0, -1, 96], [1, 0, 0], [0, 0, 1]]  # a quarter turn of a view of 96 x 128 pixels


@pytest.fixture
def mask_rcnn(detector_cfg, make_model):
    """``mask_rcnn(cascade=False, **settings)``: a Soft Teacher with masks."""

    def make(cascade=False, **settings):
        cfg = detectors.cascade_mask_rcnn(detector_cfg) if cascade else detectors.mask_rcnn(detector_cfg)
        return make_model(cfg, **settings)

    return make


@pytest.fixture
def turned(make_view):
    """An unlabeled batch whose strong view is turned by 90 degrees."""
    weak, strong = make_view(['u', 'v']), make_view(['v', 'u'], hw=(128, 96), matrix=TURN)
    strong['img'] = weak['img'].flip(0).rot90(-1, (2, 3))
    return weak, strong


@pytest.mark.parametrize('cascade', [False, True])
def test_with_true_labels_the_losses_are_those_of_mmdetections_training(mask_rcnn, make_batch, monkeypatch, cascade):
    model = mask_rcnn(cascade, background_weight=None)
    batch = detectors.with_masks(make_batch()['sup'])
    del batch['gt_semantic_seg']
    labels = true_labels(batch)
    teach_the_same_masks(model, labels, monkeypatch)
    expected = model.supervised_losses(batch)
    found = model.find_pseudo_labels(batch)
    losses = model.unsupervised_losses(batch, StudentLabels(labels, labels, labels, labels, found))
    assert tuple(losses) == tuple(expected) == model.loss_names()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-6, atol=1e-6, msg=name)
        assert value > 0 or 'acc' in name or 'rpn' in name
    parameters = [p for p in model.student.parameters() if p.requires_grad]
    ours, theirs = (torch.autograd.grad(total(own), parameters) for own in (losses, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def naive_mask_loss(model, weak, strong, target=lambda m: (m >= 0.5).float(), counts=torch.ones_like, power=0):
    """METHOD_DETECTORS, A3, RoI by RoI: the teacher's mask of each pseudo box, seen from the student's RoI."""
    weak = in_order_of(weak, strong['img_metas'])
    found = model.find_pseudo_labels(weak)
    labels = model.project_pseudo_labels(found, strong)
    student, teacher = model.student, model.teacher
    feats = student.extract_feat(strong['img'])
    _, proposals = student.rpn_head.forward_train(
        feats, strong['img_metas'], [own.bboxes for own in labels.rpn], proposal_cfg=student.train_cfg.rpn_proposal
    )
    losses, count = [], 0
    for i, (boxes, own) in enumerate(zip(proposals, labels.mask, strict=True)):
        assigned = student.roi_head.bbox_assigner.assign(boxes, own.bboxes, None, own.labels)
        sample = student.roi_head.bbox_sampler.sample(assigned, boxes, own.bboxes, own.labels)
        back = matrix_between(strong['img_metas'][i], weak['img_metas'][i])
        for box, index, label in zip(sample.pos_bboxes, sample.pos_assigned_gt_inds, sample.pos_gt_labels, strict=True):
            with torch.no_grad():
                rois = bbox2roi([own.mask_boxes[index][None]])
                level = found.features.of_image(i).levels
                mask = teacher.roi_head._mask_forward(level, rois)['mask_pred'][0, label].sigmoid()
                torch.testing.assert_close(mask, own.masks[index], rtol=1e-4, atol=1e-5)
            seen = naive_target(own, int(index), box, back, (12, 12))
            level = [f[i : i + 1] for f in feats]
            logits = student.roi_head._mask_forward(level, bbox2roi([box[None]]))['mask_pred'][0, label]
            y, v = target(seen), counts(seen)
            p = logits.sigmoid()
            score = mask[mask > 0.5].mean() if (mask > 0.5).any() else torch.tensor(0.0)
            losses.append(-(v * (y * p.log() + (1 - y) * (1 - p).log())).sum() * score**power)
            count += v.sum()
    return sum(losses) / count


OPTIONS = {
    'regression set': (dict(), dict()),
    'own filter': (dict(mask_filter=SURE), dict()),
    'soft': (dict(mask_target='soft'), dict(target=lambda m: m)),
    'trimap': (dict(mask_ignore=(0.3, 0.7)), dict(counts=lambda m: ((m <= 0.3) | (m >= 0.7)).float())),
    'score': (dict(mask_score_power=2.0), dict(power=2)),
}


@pytest.mark.parametrize('option', OPTIONS)
def test_the_mask_loss_equals_the_method_in_loops(mask_rcnn, turned, option):
    settings, by_hand = OPTIONS[option]
    weak, strong = turned
    model = mask_rcnn(**settings)
    torch.manual_seed(5)
    losses, figures = learn(model, weak, strong)
    torch.manual_seed(5)
    naive = naive_mask_loss(model, weak, strong, **by_hand)
    assert tuple(losses) == NAMES and figures['num_pseudo_mask'] > 0
    assert (figures['num_pseudo_mask'] == figures['num_pseudo_reg']) == (option != 'own filter')
    assert losses['loss_mask'].item() == pytest.approx(naive.item(), rel=1e-4)
    parameters = list(model.student.roi_head.mask_head.parameters())
    ours, theirs = (torch.autograd.grad(value, parameters) for value in (losses['loss_mask'], naive))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    model.semi_train_cfg.mask_weight = 2.0
    torch.manual_seed(5)
    double = learn(model, weak, strong)[0]
    torch.testing.assert_close(double['loss_mask'], 2 * losses['loss_mask'])
    assert all(torch.equal(double[name], losses[name]) for name in NAMES[:-1])


def test_masks_leave_the_box_losses_as_they_are(mask_rcnn, make_model, make_batch):
    batch, masked, plain = make_batch(), mask_rcnn(), make_model()
    plain.load_state_dict(masked.state_dict(), strict=False)
    results = []
    for model in (masked, plain):
        torch.manual_seed(5)
        results.append(learn(model, batch['unsup_teacher'], batch['unsup_student'])[0])
    assert all(torch.equal(results[0][name], value) for name, value in results[1].items())


def test_images_without_pseudo_masks_train_like_others(mask_rcnn, make_batch, monkeypatch):
    for cascade in (False, True):
        model, batch = mask_rcnn(cascade, mask_filter=ALWAYS, cls_filter=ALWAYS), make_batch()
        none = torch.zeros(0, 4)
        set_candidates(model, monkeypatch, [PseudoLabels(none, none[:, 0].long(), none[:, 0])] * 2)
        del batch['sup']
        result = model.train_step(batch)
        result['loss'].backward()
        assert all(p.grad is not None for p in model.student.parameters() if p.requires_grad)
        masks = [value for name, value in result['log_vars'].items() if name.endswith('loss_mask')]
        assert masks == [0] * len(masks) and result['log_vars']['num_pseudo_mask'] == 0


@pytest.mark.parametrize('cascade', [False, True])
def test_the_keys_do_not_depend_on_the_branches(mask_rcnn, make_batch, cascade):
    model, batch = mask_rcnn(cascade), make_batch()
    batch['sup'] = {k: v for k, v in detectors.with_masks(batch['sup']).items() if k != 'gt_semantic_seg'}
    keys = list(model())
    assert [key for key in keys if key.startswith('unsup_')] == [f'unsup_{name}' for name in model.loss_names()]
    for present in (batch, {'sup': batch['sup']}, {key: batch[key] for key in batch if key != 'sup'}):
        losses = model(**present)
        assert list(losses) == keys and all(value.isfinite() for value in losses.values())
        total(losses).backward()
        assert all(p.grad is not None for p in model.student.parameters() if p.requires_grad)
        model.zero_grad()


def test_one_rank_may_lack_unlabeled_images(mask_rcnn, make_batch, on_two_ranks):
    model, batch = mask_rcnn(mask_filter=ALWAYS), make_batch()
    batch['sup'] = {k: v for k, v in detectors.with_masks(batch['sup']).items() if k != 'gt_semantic_seg'}

    def step(rank):
        log = model.train_step(batch if rank == 0 else {'sup': batch['sup']})['log_vars']
        return torch.tensor([log['unsup_loss_mask'], log['num_pseudo_mask'], len(log)])

    first, second = on_two_ranks(step)
    assert torch.equal(first, second) and first[0] > 0 and first[1] > 0 and first[2] == 2 * len(NAMES) + 8


def test_a_student_learns_the_teachers_masks(mask_rcnn, turned):
    """A few steps on the mask loss alone: the student's masks in the turned view become the teacher's, turned."""
    weak, strong = turned
    model = mask_rcnn(mask_filter=ALWAYS, reg_filter=ALWAYS)
    optimizer = torch.optim.Adam(model.student.roi_head.mask_head.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        loss = learn(model, weak, strong)[0]['loss_mask']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0], losses


def test_settings_of_masks_need_masks(detector_cfg):
    for name, value in dict(filter=SURE, target='soft', weight=2.0, ignore=(0.3, 0.7), score_power=1.0).items():
        with pytest.raises(ValueError, match=f'semi_train_cfg.mask_{name} is for masks; the detector has no mask head'):
            SoftTeacher(detector_cfg, {f'mask_{name}': value})
    cfg = detectors.mask_rcnn(detector_cfg)
    for ignore in ((0.3,), (0.6, 0.7), (0.7, 0.3)):
        with pytest.raises(ValueError, match='mask_ignore is two probabilities, one under 0.5 and one above'):
            SoftTeacher(cfg, dict(mask_ignore=ignore))
    with pytest.raises(ValueError, match="mask_ignore is for mask_target='hard'"):
        SoftTeacher(cfg, dict(mask_ignore=(0.3, 0.7), mask_target='soft'))
    with pytest.raises(ValueError, match="mask_target must be one of 'hard', 'soft', got 'trimap'"):
        SoftTeacher(cfg, dict(mask_target='trimap'))
    jitter = dict(type='JitterVarianceFilter')
    with pytest.raises(ValueError, match='one filter at most may measure'):
        SoftTeacher(cfg, dict(mask_filter=jitter))
    SoftTeacher(cfg, dict(mask_filter=jitter, reg_filter=None))


def test_pictures_show_the_masks(mask_rcnn, make_batch):
    model, batch = mask_rcnn(cls_filter=ALWAYS), make_batch()
    views = model.pseudo_label_views(batch['unsup_teacher'], batch['unsup_student'])
    for view in views:
        assert view.labels.masks.shape == (len(view.labels), 12, 12) and len(view.labels) > 0
    assert draw_pseudo_boxes(model, batch).shape == (96, 256, 3)
