"""Soft Teacher over Hybrid Task Cascade, with and without its semantic branch."""

import copy

import detectors
import pytest
import torch
from mmdet.core import bbox2roi
from naive import learn, set_candidates, teach_the_same_masks, total, true_labels

from ssod.apis.train import parallelize
from ssod.apis.weights import read_checkpoint
from ssod.core.errors import InputError
from ssod.detection import PseudoLabels, SoftTeacher
from ssod.detection.acts import StudentLabels
from ssod.detection.checks import num_classes_of
from ssod.detection.heads import Features, RoIStages
from ssod.detection.pseudo_labels.masks import paste_masks

ALWAYS = dict(type='ScoreFilter', thr=0.0)


def htc_cfg(faster_rcnn, semantic=True, **settings):
    """The config of an HTC, each stage of which asks for more overlap."""
    cfg = detectors.hybrid_task_cascade(faster_rcnn)
    for stage, own in enumerate(cfg.train_cfg.rcnn):
        overlap = 0.5 + 0.1 * stage
        own.assigner.update(pos_iou_thr=overlap, neg_iou_thr=overlap, min_pos_iou=overlap)
    cfg.roi_head.update(settings)
    if not semantic:
        del cfg.roi_head['semantic_head'], cfg.roi_head['semantic_roi_extractor']
    return cfg


@pytest.fixture
def htc(detector_cfg, make_model):
    """``htc(semantic=True, head={}, **settings)``: a Soft Teacher over HTC whose head has some settings of its own."""

    def make(semantic=True, head=None, **settings):
        return make_model(htc_cfg(detector_cfg, semantic, **(head or {})), **settings)

    return make


HEADS = {
    'htc': dict(),
    'no mask information flow': dict(mask_info_flow=False),
    'not interleaved': dict(interleaved=False),
    'boxes alone look at the semantics': dict(semantic_fusion=('bbox',)),
}


@pytest.mark.parametrize('semantic', [True, False])
@pytest.mark.parametrize('head', HEADS)
def test_with_true_labels_the_losses_are_those_of_mmdetections_training(htc, make_batch, monkeypatch, head, semantic):
    model = htc(semantic, HEADS[head], background_weight=None)
    batch = detectors.with_masks(make_batch()['sup'])
    if not semantic:
        del batch['gt_semantic_seg']
    labels = true_labels(batch)
    teach_the_same_masks(model, labels, monkeypatch)
    expected = model.supervised_losses(batch)
    found = model.find_pseudo_labels(batch)
    losses = model.unsupervised_losses(batch, StudentLabels(labels, labels, labels, labels, found))
    assert tuple(losses) == tuple(expected) == model.loss_names()
    if semantic:
        assert losses.pop('loss_semantic_seg') == 0 < expected.pop('loss_semantic_seg')
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-6, atol=1e-6, msg=name)
        assert value > 0 or 'acc' in name or 'rpn' in name
    parameters = [p for p in model.student.parameters() if p.requires_grad]
    ours, theirs = (torch.autograd.grad(total(own), parameters, allow_unused=True) for own in (losses, expected))
    for own, other in zip(ours, theirs, strict=True):
        assert (own is None) == (other is None)
        if own is not None:
            torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-5)


def test_every_setting_of_the_head_moves_a_loss(htc, make_batch):
    batch, seen = make_batch(), []
    for semantic, head in ((True, name) for name in HEADS):
        model = htc(semantic, HEADS[head], reg_filter=ALWAYS, cls_filter=ALWAYS)
        torch.manual_seed(5)
        losses, _ = learn(model, batch['unsup_teacher'], batch['unsup_student'])
        seen.append(tuple(round(value.item(), 5) for value in losses.values()))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize('semantic', [True, False])
def test_the_teachers_masks_are_the_mean_over_mmdetections_chain_of_mask_heads(htc, semantic):
    teacher = htc(semantic).teacher
    head, stages = teacher.roi_head, RoIStages(teacher)
    levels = tuple(torch.randn(1, 16, 96 // s, 128 // s) for s in (8, 16, 32))
    boxes, labels = torch.tensor([[10.0, 10, 60, 60], [20, 30, 90, 90]]), torch.tensor([2, 1])
    with torch.no_grad():
        features = stages.features(levels)
        found = stages.masks(features, [boxes], [labels])[0]
        pooled = head.mask_roi_extractor[-1](levels, bbox2roi([boxes]))
        if semantic:
            pooled = pooled + head.semantic_roi_extractor([head.semantic_head(levels)[1]], bbox2roi([boxes]))
        handed, masks = None, []
        for mask_head in head.mask_head:  # as its simple_test does
            logits, handed = mask_head(pooled, handed)
            masks.append(logits[torch.arange(2), labels].sigmoid())
    torch.testing.assert_close(found, sum(masks) / 3)


def see_the_picture(model, monkeypatch):
    """Let features, and so masks, be the pictures themselves: bright where the mask is."""
    pool = torch.nn.functional.avg_pool2d
    levels = lambda img: tuple(pool(img.mean(1, keepdim=True), s).repeat(1, 16, 1, 1) for s in (8, 16, 32))  # noqa: E731
    for detector in (model.teacher, model.student):
        monkeypatch.setattr(detector, 'extract_feat', levels)
    with torch.no_grad():
        for head in model.teacher.roi_head.mask_head:
            for p in head.parameters():
                p.zero_()
            head.convs[0].conv.weight[:, :, 1, 1] = torch.eye(16)
            head.upsample.weight += torch.eye(16)[..., None, None]
            head.conv_logits.weight += 1.0
            head.conv_logits.bias -= 8.0


def test_a_mask_of_a_flipped_weak_view_lies_on_its_object(htc, make_view, monkeypatch):
    """MMDetection's own inference mirrors it, for it takes the flip for test-time augmentation."""
    model, view = htc(semantic=False, reg_filter=ALWAYS), make_view(['u'])
    see_the_picture(model, monkeypatch)
    view['img'] = torch.zeros_like(view['img'])
    view['img'][..., 16:80, 24:56] = 1  # in the left half of the box
    view['img_metas'][0].update(flip=True, flip_direction='horizontal')
    drawn = view['img'][0, 0] > 0
    box, label = torch.tensor([[16.0, 8, 112, 88]]), torch.tensor([1])
    set_candidates(model, monkeypatch, [PseudoLabels(box, label, torch.tensor([0.9]))])
    found = model.find_pseudo_labels(view)
    labels = model.project_pseudo_labels(found, copy.deepcopy(view))
    seen = paste_masks(labels.mask[0], (96, 128))[0]
    assert overlap(seen, drawn) > 0.6 and overlap(seen.flip(1), drawn) < 0.1
    head = model.teacher.roi_head
    detection = torch.cat([box, torch.tensor([[0.9]])], dim=1), label
    monkeypatch.setattr(head.bbox_head[-1], 'get_bboxes', lambda *args, **settings: detection)
    ((_, masks),) = head.simple_test(found.features.levels, [box], view['img_metas'])
    theirs = torch.from_numpy(masks[1][0])
    assert overlap(theirs, drawn) < 0.1 and overlap(theirs.flip(1), drawn) > 0.6


def overlap(one, other):
    return float((one & other).sum() / (one | other).sum())


def test_on_unlabeled_images_the_semantic_branch_is_looked_at_and_not_taught(htc, make_batch):
    model, batch = htc(cls_filter=ALWAYS, reg_filter=ALWAYS), make_batch()
    losses, _ = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    assert losses['loss_semantic_seg'] == 0 and losses['loss_semantic_seg'].requires_grad
    total(losses).backward()
    head = model.student.roi_head.semantic_head
    assert all(p.grad is not None for p in head.parameters())
    assert (head.conv_logits.weight.grad == 0).all() and head.conv_embedding.conv.weight.grad.abs().max() > 0
    assert model.teacher.roi_head.semantic_head.conv_logits.weight.grad is None


@pytest.mark.parametrize('semantic', [True, False])
def test_the_keys_do_not_depend_on_the_branches(htc, make_batch, semantic):
    model, batch = htc(semantic), make_batch()
    batch['sup'] = detectors.with_masks(batch['sup'])
    if not semantic:
        del batch['sup']['gt_semantic_seg']
    keys = list(model())
    assert [key for key in keys if key.startswith('unsup_')] == [f'unsup_{name}' for name in model.loss_names()]
    assert ('sup_loss_semantic_seg' in keys) == semantic
    for present in (batch, {'sup': batch['sup']}, {key: batch[key] for key in batch if key != 'sup'}):
        losses = model(**present)
        assert list(losses) == keys and all(value.isfinite() for value in losses.values())
        total(losses).backward()
        assert all(p.grad is not None for p in model.student.parameters() if p.requires_grad)
        model.zero_grad()


def test_one_rank_may_lack_unlabeled_images(htc, make_batch, on_two_ranks):
    model, batch = htc(mask_filter=ALWAYS), make_batch()
    batch['sup'] = detectors.with_masks(batch['sup'])
    both = {key: batch[key] for key in batch if key != 'sup'}

    def step(rank):
        """Two iterations in DDP, which waits for the gradient of every parameter on every rank."""
        wrapped = parallelize(model, distributed=True)
        for _ in range(2):
            result = wrapped.train_step(both if rank == 0 else {'sup': batch['sup']})
            model.zero_grad()
            result['loss'].backward()
        log, norm = result['log_vars'], sum(p.grad.norm() for p in model.student.parameters() if p.requires_grad)
        return torch.tensor([log['unsup_s0.loss_mask'], log['sup_loss_semantic_seg'], len(log), norm])

    first, second = on_two_ranks(step)
    assert torch.equal(first, second) and (first > 0).all() and first[2] == 2 * 15 + 8


def test_without_pseudo_boxes_and_without_proposals(htc, make_batch, monkeypatch):
    model, batch = htc(), make_batch()
    none = torch.zeros(0, 4)
    set_candidates(model, monkeypatch, [PseudoLabels(none, none[:, 0].long(), none[:, 0])] * 2)
    losses, _ = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    assert losses['s2.loss_mask'] == 0 < losses['s2.loss_cls']
    for part in (model.teacher, model.student):
        monkeypatch.setattr(part.rpn_head, 'get_bboxes', lambda *args, **kwargs: [torch.zeros(0, 5)] * 2)
    losses, _ = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    assert tuple(losses) == model.loss_names() and all(losses[f's{i}.loss_cls'] == 0 for i in range(3))


def test_features_of_one_image(htc, make_view):
    model, view = htc(), make_view(['u', 'v'])
    with torch.no_grad():
        features = RoIStages(model.teacher).features(model.teacher.extract_feat(view['img']))
        alone = features.of_image(1)
        own = RoIStages(model.teacher).features(alone.levels)
    assert features.semantic.shape[0] == 2 and isinstance(alone, Features)
    torch.testing.assert_close(alone.semantic, own.semantic, rtol=1e-4, atol=1e-5)


def test_what_mmdetection_could_not_train_is_refused(detector_cfg):
    cfg = htc_cfg(detector_cfg)
    cfg.roi_head.bbox_head[1]['reg_class_agnostic'] = False
    with pytest.raises(TypeError, match='which have no class: set reg_class_agnostic=True'):
        SoftTeacher(cfg)
    cfg = htc_cfg(detector_cfg)
    cfg.roi_head.mask_head[0]['type'] = 'FCNMaskHead'
    cfg.roi_head.mask_head[0].pop('with_conv_res')
    with pytest.raises(TypeError, match='a mask head that is a HTCMaskHead; this is a FCNMaskHead'):
        SoftTeacher(cfg)
    cfg = htc_cfg(detector_cfg, semantic=False)
    del cfg.roi_head['mask_head'], cfg.roi_head['mask_roi_extractor']
    with pytest.raises(TypeError, match='refines no box between its stages: set interleaved=False'):
        SoftTeacher(cfg)
    cfg.roi_head.interleaved = False
    assert SoftTeacher(cfg).loss_names()[2:5] == ('s0.loss_cls', 's0.acc', 's0.loss_bbox')


def test_a_detectors_checkpoint_fills_student_and_teacher(htc, tmp_path):
    trained, fresh = htc(), htc()
    torch.save(dict(meta=dict(CLASSES=('a', 'b', 'c')), state_dict=trained.teacher.state_dict()), tmp_path / 'htc.pth')
    read_checkpoint(fresh, str(tmp_path / 'htc.pth'), num_classes_of(fresh))
    for model in (fresh.student, fresh.teacher):
        weights = model.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in trained.teacher.state_dict().items())
    torch.save(dict(meta=dict(CLASSES=('a', 'b')), state_dict=trained.teacher.state_dict()), tmp_path / 'two.pth')
    with pytest.raises(InputError, match='two.pth'):
        read_checkpoint(fresh, str(tmp_path / 'two.pth'), num_classes_of(fresh))
