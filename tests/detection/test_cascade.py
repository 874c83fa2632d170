"""Soft Teacher over a cascade: against Faster R-CNN, MMDetection's own training, and the method in loops."""

import detectors
import pytest
import torch
from mmdet.core import bbox2roi
from naive import learn, matrix_between, naive_variance, projected, set_candidates

from ssod.core import in_order_of
from ssod.detection import PseudoLabels, SoftTeacher
from ssod.detection.acts import StudentLabels
from ssod.detection.heads import Features, RoIStages

OF_STAGE = ('loss_cls', 'acc', 'loss_bbox')


def names(num_stages):
    return ('loss_rpn_cls', 'loss_rpn_bbox', *(f's{i}.{name}' for i in range(num_stages) for name in OF_STAGE))


@pytest.fixture
def cascade(detector_cfg, make_model):
    """``cascade(num_stages=3, class_agnostic=True, num=None, **settings)``; ``num`` samples an image, half positive."""

    def make(num_stages=3, class_agnostic=True, num=None, **semi_train_cfg):
        cfg = detectors.cascade_rcnn(detector_cfg, num_stages, class_agnostic)
        for rcnn in cfg.train_cfg.rcnn:
            if num:
                rcnn.sampler.update(num=num, pos_fraction=0.5)
        return make_model(cfg, **semi_train_cfg)

    return make


def gradients(model, losses):
    parameters = [p for p in model.student.parameters() if p.requires_grad]
    total = sum(value for name, value in losses.items() if 'loss' in name)
    return torch.autograd.grad(total, parameters, allow_unused=True)


@pytest.mark.parametrize('settings', [{}, dict(background_weight=None, cls_targets='soft'), dict(num=20)])
def test_a_cascade_of_one_stage_equals_faster_rcnn(cascade, make_model, detector_cfg, make_batch, settings):
    batch = make_batch()
    one = cascade(num_stages=1, class_agnostic=False, **settings)
    if num := settings.pop('num', None):
        detector_cfg.train_cfg.rcnn.sampler.update(num=num, pos_fraction=0.5)
    faster = make_model(detector_cfg, **settings)
    weights = faster.state_dict()
    one.load_state_dict({name.replace('_head.bbox_head.', '_head.bbox_head.0.'): v for name, v in weights.items()})
    results = []
    for model in (faster, one):
        torch.manual_seed(5)
        losses, figures = learn(model, batch['unsup_teacher'], batch['unsup_student'])
        results.append((losses, gradients(model, losses), figures))
    (plain, plain_grads, plain_figures), (staged, grads, figures) = results
    assert tuple(staged) == names(1) and plain['loss_bbox'] > 0 and figures == plain_figures
    for name, value in plain.items():
        torch.testing.assert_close(staged[name if 'rpn' in name else f's0.{name}'], value, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(grads, plain_grads, rtol=1e-6, atol=1e-6)


def true_labels(batch, teacher_view):
    """The labeled images' own boxes as the pseudo boxes of every branch."""
    pairs = zip(batch['gt_bboxes'], batch['gt_labels'], strict=True)
    labels = [PseudoLabels(boxes, classes, torch.ones(len(boxes))) for boxes, classes in pairs]
    return StudentLabels(labels, labels, labels, None, teacher_view)


@pytest.mark.parametrize('class_agnostic', [True, False])
def test_with_true_boxes_the_losses_are_those_of_mmdetections_training(cascade, make_batch, class_agnostic):
    model, batch = cascade(class_agnostic=class_agnostic, background_weight=None), make_batch()['sup']
    expected = model.supervised_losses(batch)
    losses = model.unsupervised_losses(batch, true_labels(batch, model.find_pseudo_labels(batch)))
    assert tuple(losses) == tuple(expected) == names(3)
    assert all(value > 0 for name, value in expected.items() if 'loss' in name and 'rpn' not in name)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-6, atol=1e-6, msg=name)
    torch.testing.assert_close(gradients(model, losses), gradients(model, expected), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('class_agnostic', [True, False])
def test_candidates_are_what_mmdetections_inference_detects(cascade, make_view, class_agnostic):
    model, batch = cascade(class_agnostic=class_agnostic), make_view(['u', 'v'])
    teacher, metas = model.teacher, batch['img_metas']
    found = model.find_pseudo_labels(batch)
    with torch.no_grad():
        feats = teacher.extract_feat(batch['img'])
        outputs = teacher.rpn_head(feats)
        proposals = teacher.rpn_head.get_bboxes(*outputs, img_metas=metas, cfg=teacher.train_cfg.rpn_proposal)
        teacher.test_cfg.rcnn.score_thr = teacher.roi_head.test_cfg.score_thr = 0.3
        results = teacher.roi_head.simple_test(feats, proposals, metas)
    for own, result in zip(found.candidates, results, strict=True):
        detected = torch.cat([torch.as_tensor(rows) for rows in result])
        classes = torch.cat([torch.full((len(rows),), label) for label, rows in enumerate(result)])
        order = torch.argsort(own.labels * 10 - own.scores)
        expected = torch.argsort(classes * 10 - detected[:, 4])
        assert len(own) == len(detected) > 0
        torch.testing.assert_close(own.bboxes[order], detected[expected, :4], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(own.scores[order], detected[expected, 4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('which', ['all', 1])
def test_jittered_boxes_go_through_the_whole_cascade_or_one_stage(cascade, make_view, which):
    model = cascade(reg_filter=dict(type='JitterVarianceFilter', thr=0.05, num_jitters=3, stages=which))
    batch, teacher = make_view(['u', 'v']), model.teacher
    torch.manual_seed(4)
    candidates = model.find_pseudo_labels(batch).candidates
    with torch.no_grad():
        feats = teacher.extract_feat(batch['img'])
        host = SingleStages(teacher.roi_head, [0, 1, 2] if which == 'all' else [which])
        torch.manual_seed(4)
        bboxes, labels = [c.bboxes for c in candidates], [c.labels for c in candidates]
        expected = naive_variance(host, feats, batch['img_metas'], bboxes, labels, model.reg_filter)
    assert len(candidates[0]) > 0 and len(candidates[1]) > 0
    for own, naive in zip(candidates, expected, strict=True):
        torch.testing.assert_close(own.reg_variance, naive, rtol=1e-4, atol=1e-6)


class SingleStages:
    """Some stages of a class-agnostic cascade, behind the test function of a head with one stage."""

    def __init__(self, roi_head, stages):
        self.roi_head, self.head, self.stages = self, roi_head, stages

    def simple_test_bboxes(self, feats, metas, proposals, cfg):
        result = []
        for i, (boxes, meta) in enumerate(zip(proposals, metas, strict=True)):
            for stage in self.stages:
                rows = []
                for box in boxes:
                    level = [f[i : i + 1] for f in feats]
                    deltas = self.head._bbox_forward(stage, level, bbox2roi([box[None]]))['bbox_pred']
                    rows.append(self.head.bbox_head[stage].bbox_coder.decode(box[None], deltas, meta['img_shape'])[0])
                boxes = torch.stack(rows)
            result.append(boxes.repeat(1, 3))
        return result, None


def naive_stages(model, weak, strong):
    """METHOD_DETECTORS, B2, RoI by RoI: losses of the RoI head, with the labels that the model finds."""
    weak = in_order_of(weak, strong['img_metas'])
    found = model.find_pseudo_labels(weak)
    labels = model.project_pseudo_labels(found, strong)
    student, metas = model.student, strong['img_metas']
    head, losses = student.roi_head, {}
    feats = student.extract_feat(strong['img'])
    _, proposals = student.rpn_head.forward_train(
        feats, metas, [own.bboxes for own in labels.rpn], proposal_cfg=student.train_cfg.rpn_proposal
    )
    for i in range(head.num_stages):
        samples = {
            branch: [sampled(head, i, boxes, pseudo) for boxes, pseudo in zip(proposals, own, strict=True)]
            for branch, own in (('cls', labels.cls), ('reg', labels.reg))
        }
        terms, of_reg, count, following = [], [], 0, []
        for j, (cls, reg) in enumerate(zip(samples['cls'], samples['reg'], strict=True)):
            level = [f[j : j + 1] for f in feats]
            back = matrix_between(metas[j], weak['img_metas'][j])
            moved = {}
            for k, box in enumerate(cls.bboxes):
                logits, deltas = through(head, i, level, box)
                positive = k < len(cls.pos_bboxes)
                target = int(cls.pos_gt_labels[k]) if positive else 3
                weight = 1.0
                if not positive and model.background_weight:
                    place = projected(box, back, weak['img_metas'][j]['img_shape'])
                    weight = naive_background(model, i, found.features.of_image(j).levels, place, weak['img_metas'][j])
                terms.append((-weight * torch.log_softmax(logits, 0)[target], weight, float(logits.argmax() == target)))
                number = int(torch.cat([cls.pos_inds, cls.neg_inds])[k]) - cls.num_gts
                label = target if positive else int(logits[:-1].argmax())
                moved[number] = regressed(head, i, box, label, deltas, metas[j])
            for k, box in enumerate(reg.pos_bboxes):
                _, deltas = through(head, i, level, box)
                label, number = int(reg.pos_gt_labels[k]), int(reg.pos_inds[k]) - reg.num_gts
                truth = head.bbox_head[i].bbox_coder.encode(box[None], reg.pos_gt_bboxes[k][None])[0]
                own = deltas if len(deltas) == 4 else deltas[4 * label : 4 * label + 4]
                of_reg.append((own - truth).abs().sum())
                moved.setdefault(number, regressed(head, i, box, label, deltas, metas[j]))
            count += len(reg.bboxes)
            following.append([box.detach() for number, box in moved.items() if number >= 0])
        share = head.stage_loss_weights[i]
        losses[f's{i}.loss_cls'] = share * sum(t[0] for t in terms) / max(1, sum(t[1] for t in terms))
        losses[f's{i}.acc'] = torch.tensor(100 * sum(t[2] for t in terms) / len(terms))
        losses[f's{i}.loss_bbox'] = share * sum(of_reg) / count
        proposals = [torch.stack(boxes) if boxes else torch.zeros(0, 4) for boxes in following]
    return losses


def sampled(head, stage, proposals, labels):
    assigned = head.bbox_assigner[stage].assign(proposals, labels.bboxes, None, labels.labels)
    return head.bbox_sampler[stage].sample(assigned, proposals, labels.bboxes, labels.labels)


def through(head, stage, level, box):
    outputs = head._bbox_forward(stage, level, bbox2roi([box[None]]))
    return outputs['cls_score'][0], outputs['bbox_pred'][0]


def regressed(head, stage, box, label, deltas, meta):
    own = deltas if len(deltas) == 4 else deltas[4 * label : 4 * label + 4]
    return head.bbox_head[stage].bbox_coder.decode(box[None], own[None], meta['img_shape'])[0]


@torch.no_grad()
def naive_background(model, stage, level, box, meta):
    """The background score of the teacher's same stage, or of its whole cascade."""
    head = model.teacher.roi_head
    if model.semi_train_cfg.background_mode == 'stage':
        return float(through(head, stage, level, box)[0].softmax(0)[-1])
    total = 0
    for i in range(head.num_stages):
        logits, deltas = through(head, i, level, box)
        box, total = regressed(head, i, box, int(logits[:-1].argmax()), deltas, meta), total + logits
    return float((total / head.num_stages).softmax(0)[-1])


OPTIONS = {
    'agnostic': dict(),
    'by class': dict(class_agnostic=False),
    'mean': dict(background_mode='mean'),
    'no weights': dict(background_weight=None),
    'two stages': dict(num_stages=2),
}


@pytest.mark.parametrize('variant', OPTIONS)
def test_losses_and_gradients_equal_the_method_in_loops(cascade, make_batch, variant):
    """16 samples per image: some positives of the regression branch are no samples of the classification branch."""
    model, batch = cascade(num=16, reg_filter=dict(type='ScoreFilter', thr=0.32), **OPTIONS[variant]), make_batch()
    results = []
    for compute in (lambda *args: learn(*args)[0], naive_stages):
        torch.manual_seed(5)
        losses = compute(model, batch['unsup_teacher'], batch['unsup_student'])
        losses = {name: value for name, value in losses.items() if 'rpn' not in name}
        results.append((losses, gradients(model, losses)))
    (ours, our_grads), (naive, naive_grads) = results
    assert list(ours) == list(naive)
    for name, value in naive.items():
        assert ours[name].item() == pytest.approx(value.item(), rel=1e-4, abs=1e-5), name
        assert value > 0 or 'acc' in name, f'{name} says nothing here'
    for own, theirs in zip(our_grads, naive_grads, strict=True):
        assert (own is None) == (theirs is None)
        if own is not None:
            torch.testing.assert_close(own, theirs, rtol=1e-3, atol=1e-5)


def test_every_option_moves_a_loss(cascade, make_batch):
    batch, seen = make_batch(), []
    for options in (*OPTIONS.values(), dict(reg_filter=None)):
        torch.manual_seed(5)
        losses, _ = learn(cascade(num=16, **options), batch['unsup_teacher'], batch['unsup_student'])
        seen.append(tuple(round(value.item(), 5) for value in losses.values()))
    assert len(set(seen)) == len(seen), seen


@pytest.mark.parametrize('boxes', [([], []), ([[10, 10, 60, 60]], [])])
def test_images_without_candidates_train_like_others(cascade, make_batch, monkeypatch, boxes):
    always = dict(type='ScoreFilter', thr=0.0)
    model, batch = cascade(cls_filter=always, reg_filter=always), make_batch()
    none = torch.zeros(0, 4)
    candidates = [
        PseudoLabels(torch.tensor(rows).float() if rows else none, torch.zeros(len(rows)).long(), torch.ones(len(rows)))
        for rows in boxes
    ]
    set_candidates(model, monkeypatch, candidates)
    del batch['sup']
    result = model.train_step(batch)
    result['loss'].backward()
    assert all(p.grad is not None for p in model.student.parameters() if p.requires_grad)
    for i in range(3):
        assert result['log_vars'][f'unsup_s{i}.loss_cls'] > 0
    assert (result['log_vars']['unsup_s0.loss_bbox'] > 0) == any(boxes)


def test_without_proposals_the_losses_are_zero_and_tied(cascade, make_batch, monkeypatch):
    model, batch = cascade(), make_batch()
    empty = [torch.zeros(0, 5)] * 2
    for part in (model.teacher, model.student):
        monkeypatch.setattr(part.rpn_head, 'get_bboxes', lambda *args, **kwargs: empty)
    losses, figures = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    assert tuple(losses) == names(3) and figures['num_pseudo_candidates'] == 0
    for name, value in losses.items():
        assert 'rpn' in name or (value == 0 and value.requires_grad == ('loss' in name)), name
    none = dict(gt_bboxes=[torch.zeros(0, 4)], gt_labels=[torch.zeros(0).long()])
    assert tuple(model.supervised_losses({**batch['sup'], **none})) == names(3)


def test_the_keys_do_not_depend_on_the_branches(cascade, make_batch):
    model, batch = cascade(), make_batch()
    keys = list(model())
    assert [key for key in keys if key.startswith('unsup_')] == [f'unsup_{name}' for name in names(3)]
    for present in (batch, {'sup': batch['sup']}, {key: batch[key] for key in batch if key != 'sup'}):
        losses = model(**present)
        assert list(losses) == keys and all(value.isfinite() for value in losses.values())
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        assert all(p.grad is not None for p in model.student.parameters() if p.requires_grad)
        model.zero_grad()


def test_one_rank_may_lack_unlabeled_images(cascade, make_batch, on_two_ranks):
    model, batch = cascade(), make_batch()

    def step(rank):
        own = batch if rank == 0 else {'sup': batch['sup']}
        log = model.train_step(own)['log_vars']
        return torch.tensor([log['unsup_s2.loss_cls'], len(log)])

    first, second = on_two_ranks(step)
    assert torch.equal(first, second) and first[0] > 0 and first[1] == 2 * len(names(3)) + 7


def test_settings_that_do_nothing_are_refused(detector_cfg):
    cfg = detectors.cascade_rcnn(detector_cfg)
    with pytest.raises(ValueError, match="background_mode='mean' is for cascades"):
        SoftTeacher(detector_cfg, dict(background_mode='mean'))
    with pytest.raises(ValueError, match="background_mode='mean' needs a background_weight"):
        SoftTeacher(cfg, dict(background_mode='mean', background_weight=None))
    with pytest.raises(ValueError, match="must be one of 'stage', 'mean', got 'all'"):
        SoftTeacher(cfg, dict(background_mode='all'))
    for detector, stages in ((cfg, 3), (cfg, 'last'), (detector_cfg, 0)):
        with pytest.raises(ValueError, match=f"stages is 'all' or the number .* got {stages!r}"):
            SoftTeacher(detector, dict(reg_filter=dict(type='JitterVarianceFilter', stages=stages)))


def test_stages_are_those_of_the_detector(cascade, make_model):
    stages = RoIStages(cascade().student)
    assert [(s.prefix, s.weight) for s in stages] == [('s0.', 1), ('s1.', 0.5), ('s2.', 0.25)]
    assert [s.assigner.pos_iou_thr for s in stages] == [0.5, 0.6, 0.7] and len(RoIStages(make_model().student)) == 1
    assert Features((torch.zeros(2, 1, 1, 1),)).of_image(1).levels[0].shape == (1, 1, 1, 1)
