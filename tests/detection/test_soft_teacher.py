"""The unsupervised losses: against the method written out in loops, and at their edges."""

import copy

import pytest
import torch
from mmdet.core import bbox2roi
from naive import learn, matrix_between, naive_variance, projected, set_candidates

from ssod.detection import PseudoLabels, SoftTeacher
from ssod.detection.heads import Features, RoIStage
from ssod.hooks import MeanTeacherHook

NAMES = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox')
NEVER, ALWAYS = dict(type='ScoreFilter', thr=1.0), dict(type='ScoreFilter', thr=0.0)


def naive_foreground(teacher, feats, metas, proposals, bboxes):
    """One minus the background score of the proposal that each detection was decoded from, found by its box."""
    decoded, scores = teacher.roi_head.simple_test_bboxes(feats, metas, proposals, None)
    result = []
    for boxes, image, probabilities in zip(bboxes, decoded, scores, strict=True):
        rows = [int((image.view(len(image), -1, 4) == box).all(2).any(1).nonzero()[0]) for box in boxes]
        result.append(1 - probabilities[rows, -1])
    return result


@torch.no_grad()
def naive_pseudo_boxes(model, weak, strong):
    """METHOD, steps 2 to 4, by the host's own test functions: boxes and labels of the three branches."""
    teacher, metas = model.teacher, weak['img_metas']
    feats = teacher.extract_feat(weak['img'])
    proposals = teacher.rpn_head.get_bboxes(
        *teacher.rpn_head(feats), img_metas=metas, cfg=teacher.train_cfg.rpn_proposal
    )
    dets, labels = teacher.roi_head.simple_test_bboxes(feats, metas, proposals, teacher.test_cfg.rcnn)
    keep = [
        (b[:, 4] > model.semi_train_cfg.candidate_score_thr) & (b[:, 2] - b[:, 0] > 0) & (b[:, 3] - b[:, 1] > 0)
        for b in dets
    ]
    dets, labels = [d[k] for d, k in zip(dets, keep, strict=True)], [c[k] for c, k in zip(labels, keep, strict=True)]
    boxes = [d[:, :4] for d in dets]
    foreground = naive_foreground(teacher, feats, metas, proposals, boxes)
    passing = []
    for condition in (model.rpn_filter, model.cls_filter, model.reg_filter):
        if hasattr(condition, 'variance'):
            values = [-v for v in naive_variance(teacher, feats, metas, boxes, labels, condition)]
            thr = -condition.thr
        else:
            values = foreground if condition.score == 'foreground' else [d[:, 4] for d in dets]
            thr = condition.thr
        passing.append([[k for k, value in enumerate(image) if value > thr] for image in values])
    branches = []
    for of_branch in passing:
        branch = []
        for i, meta in enumerate(metas):
            kept = of_branch[i]
            matrix = matrix_between(meta, strong['img_metas'][i])
            hw = strong['img_metas'][i]['img_shape']
            moved = [projected(dets[i][k, :4], matrix, hw) for k in kept]
            branch.append((torch.stack(moved) if moved else torch.zeros(0, 4), labels[i][kept]))
        branches.append(branch)
    return feats, branches


def naive_losses(model, weak, strong):
    """METHOD, step 5, with two separate passes of the student's RoI head, one a branch."""
    order = [[m['filename'] for m in weak['img_metas']].index(m['filename']) for m in strong['img_metas']]
    weak = dict(img=weak['img'][order], img_metas=[weak['img_metas'][i] for i in order])
    teacher_feats, (rpn, cls, reg) = naive_pseudo_boxes(model, weak, strong)
    student, metas = model.student, strong['img_metas']
    roi_head = student.roi_head
    feats = student.extract_feat(strong['img'])
    losses, proposals = student.rpn_head.forward_train(
        feats, metas, [boxes for boxes, _ in rpn], proposal_cfg=student.train_cfg.rpn_proposal
    )
    regression = roi_head.forward_train(feats, metas, proposals, [b for b, _ in reg], [c for _, c in reg])

    terms = {'fg': [], 'bg': []}
    correct = count = 0
    for i, (boxes, labels) in enumerate(cls):
        assigned = roi_head.bbox_assigner.assign(proposals[i], boxes, None, labels)
        sample = roi_head.bbox_sampler.sample(assigned, proposals[i], boxes, labels)
        logits = roi_head._bbox_forward([f[i : i + 1] for f in feats], bbox2roi([sample.bboxes]))['cls_score']
        matrix = matrix_between(metas[i], weak['img_metas'][i])
        for k, box in enumerate(sample.bboxes):
            back = projected(box, matrix, weak['img_metas'][i]['img_shape'])[None]
            image = [f[i : i + 1] for f in teacher_feats]
            with torch.no_grad():
                scores = model.teacher.roi_head._bbox_forward(image, bbox2roi([back]))['cls_score'].softmax(1)[0]
            kind = 'fg' if k < len(sample.pos_bboxes) else 'bg'
            weight, target = 1.0, torch.zeros(len(scores))
            if model.semi_train_cfg.cls_targets == 'soft':
                target = scores
            elif kind == 'fg':
                target[labels[sample.pos_assigned_gt_inds[k]]] = 1
            else:
                target[-1] = 1
                seen = dict(teacher=float(scores[-1]), student=float(logits[k].detach().softmax(0)[-1]))
                weight = naive_background_weight(model.background_weight, **seen, box=box, pseudo=boxes)
            terms[kind].append((-weight * (target * torch.log_softmax(logits[k], 0)).sum(), weight))
            correct += float(logits[k].argmax() == target.argmax())
            count += 1
    sums = {kind: [sum(column) for column in zip(*rows, strict=True)] for kind, rows in terms.items() if rows}
    sums = {'fg': [0.0, 0.0], **sums}
    if model.semi_train_cfg.cls_avg_factor == 'separate':
        loss_cls = sum(loss / weight for loss, weight in sums.values())
    else:
        loss_cls = (sums['fg'][0] + sums['bg'][0]) / (sums['fg'][1] + sums['bg'][1])
    loss_bbox = regression['loss_bbox']
    if model.semi_train_cfg.reg_avg_factor == 'positives':
        loss_bbox = loss_bbox * naive_sample_share(student, proposals, reg)
    return dict(
        loss_rpn_cls=sum(losses['loss_rpn_cls']),
        loss_rpn_bbox=sum(losses['loss_rpn_bbox']),
        loss_cls=loss_cls,
        acc=torch.tensor(100 * correct / count),
        loss_bbox=loss_bbox,
    )


def naive_background_weight(indicator, teacher, student, box, pseudo):
    """Table 8's indicators for one background box."""
    name = type(indicator).__name__
    if name == 'PseudoBoxIoU':
        overlaps = [0.0]
        for other in pseudo:
            w, h = (min(box[k + 2], other[k + 2]) - max(box[k], other[k]) for k in (0, 1))
            shared = max(w, 0) * max(h, 0)
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)]
            overlaps.append(float(shared / (sum(areas) - shared)))
        return 1 - max(overlaps) if indicator.reverse else max(overlaps)
    return {
        'NoneType': 1.0,
        'TeacherBackgroundScore': teacher,
        'StudentBackgroundScore': student,
        'PredictionDifference': 1 - abs(teacher - student),
    }[name]


def naive_sample_share(student, proposals, labels):
    """All samples of the regression branch over its positives."""
    roi_head, samples = student.roi_head, []
    for boxes, (gt_bboxes, gt_labels) in zip(proposals, labels, strict=True):
        assigned = roi_head.bbox_assigner.assign(boxes, gt_bboxes, None, gt_labels)
        samples.append(roi_head.bbox_sampler.sample(assigned, boxes, gt_bboxes, gt_labels))
    return sum(len(s.bboxes) for s in samples) / sum(len(s.pos_bboxes) for s in samples)


def labels_at(*boxes):
    n = len(boxes)
    bboxes = torch.tensor(boxes, dtype=torch.float32).reshape(n, 4)
    return PseudoLabels(bboxes, torch.arange(n) % 3, torch.full((n,), 0.9))


OPTIONS = {
    'plain': {},
    'class agnostic': {},
    'decoded boxes': {},
    'other thresholds': dict(
        candidate_score_thr=0.2,
        rpn_filter=dict(type='ScoreFilter', thr=0.4),
        cls_filter=dict(type='ScoreFilter', thr=0.7),
        reg_filter=dict(type='JitterVarianceFilter', thr=0.05, num_jitters=3, jitter_scale=0.03),
    ),
    'uniform jitter': dict(
        reg_filter=dict(type='JitterVarianceFilter', thr=0.04, num_jitters=4, distribution='uniform')
    ),
    'candidate size': dict(reg_filter=dict(type='JitterVarianceFilter', thr=0.06, relative_to='candidate')),
    'foreground score': dict(rpn_filter=dict(type='ScoreFilter', thr=0.7, score='foreground')),
    'printed losses': dict(cls_avg_factor='separate', reg_avg_factor='positives'),
    'no jitter': dict(reg_filter=None),
    'no weights': dict(background_weight=None),
    'soft targets': dict(background_weight=None, cls_targets='soft'),
    'student': dict(background_weight=dict(type='StudentBackgroundScore')),
    'difference': dict(background_weight=dict(type='PredictionDifference')),
    'IoU': dict(background_weight=dict(type='PseudoBoxIoU')),
    'reverse IoU': dict(background_weight=dict(type='PseudoBoxIoU', reverse=True)),
}


@pytest.mark.parametrize('variant', OPTIONS)
def test_losses_and_gradients_equal_the_method_written_out_in_loops(make_model, make_batch, detector_cfg, variant):
    head = detector_cfg.roi_head.bbox_head
    if variant == 'class agnostic':
        head.reg_class_agnostic = True
    if variant == 'decoded boxes':
        head.update(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss'))
    model, batch = make_model(detector_cfg, **OPTIONS[variant]), make_batch()
    if variant == 'class agnostic':  # the host then decodes 4 columns: the naive loop reads them for every class
        host = model.teacher.roi_head.simple_test_bboxes
        model.teacher.roi_head.simple_test_bboxes = lambda *args: widened(host(*args))
    weak, strong = batch['unsup_teacher'], batch['unsup_student']
    parameters = [p for p in model.student.parameters() if p.requires_grad]
    results = []
    for compute in (learn, lambda *args: (naive_losses(*args), {})):
        torch.manual_seed(5)
        losses, figures = compute(model, weak, strong)
        total = sum(value for name, value in losses.items() if 'loss' in name)
        results.append((losses, torch.autograd.grad(total, parameters), figures))
    (ours, our_grads, figures), (naive, naive_grads, _) = results
    assert tuple(ours) == NAMES
    for name in NAMES:
        assert ours[name].item() == pytest.approx(naive[name].item(), rel=1e-4), name
        assert naive[name] > 0, f'{name} says nothing here'
    for ours, naive in zip(our_grads, naive_grads, strict=True):
        torch.testing.assert_close(ours, naive, rtol=1e-3, atol=1e-5)
    counts = [figures[f'num_pseudo_{name}'] for name in ('candidates', 'rpn', 'cls', 'reg')]
    assert counts[0] > counts[1] > 0 and counts[0] > counts[3] > 0, 'the filters must differ for this test to tell'


def test_without_pseudo_boxes_the_losses_equal_the_method_too(make_model, make_batch):
    model, batch = make_model(rpn_filter=NEVER, cls_filter=NEVER, reg_filter=NEVER), make_batch()
    losses, figures = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    naive = naive_losses(model, batch['unsup_teacher'], batch['unsup_student'])
    for name in NAMES:
        assert losses[name].item() == pytest.approx(naive[name].item(), rel=1e-4), name
        assert (naive[name] == 0) == ('bbox' in name), name
    assert figures['num_pseudo_candidates'] > 0


def test_steps_of_training_equal_the_method_written_out(make_model, make_batch, fake_runner):
    """Three iterations: the average of the hook, losses, SGD with momentum; against plain loops over copies.

    The seeds are such that no box lies on a threshold in the third, where another rounding would carry it over.
    """
    model, batch = make_model(), make_batch()
    naive = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.student.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-2)
    hook, before = MeanTeacherHook(momentum=0.6), copy.deepcopy(model.student.state_dict())
    speed = {}
    hook.before_run(fake_runner(model))
    for iteration in range(3):
        torch.manual_seed(100 + iteration)
        hook.before_train_iter(fake_runner(model, iteration))
        result = model.train_step(batch)
        optimizer.zero_grad()
        result['loss'].backward()
        optimizer.step()

        torch.manual_seed(100 + iteration)
        keep = [0, 0.5, 0.6][iteration]  # min(0.6, 1 - 1 / (iteration + 1))
        student = naive.student.state_dict()
        for name, value in naive.teacher.state_dict().items():
            value.copy_(keep * value + (1 - keep) * student[name] if value.is_floating_point() else student[name])
        loss = naive_step_loss(naive, batch)
        assert result['loss'].item() == pytest.approx(loss.item(), rel=1e-4)
        parameters = {name: p for name, p in naive.student.named_parameters() if p.requires_grad}
        for (name, p), grad in zip(parameters.items(), torch.autograd.grad(loss, parameters.values()), strict=True):
            speed[name] = 0.9 * speed.get(name, 0) + grad + 1e-2 * p.data
            p.data -= 0.001 * speed[name]
    for half in ('student', 'teacher'):
        ours, theirs = getattr(model, half).state_dict(), getattr(naive, half).state_dict()
        for name, p in model.student.named_parameters():
            way = (theirs[name] - before[name]).norm()
            assert (ours[name] - theirs[name]).norm() <= 2e-3 * way + 1e-6, name
            assert (way > 1e-5) if p.requires_grad else torch.equal(ours[name], before[name]), name


def naive_step_loss(model, batch):
    """METHOD, step 6: the host's losses of the labeled images, and 4 times those of the unlabeled ones."""
    supervised = model.student.forward_train(**batch['sup'])
    total = sum(sum(v) if isinstance(v, list) else v for name, v in supervised.items() if 'loss' in name)
    for name, value in naive_losses(model, batch['unsup_teacher'], batch['unsup_student']).items():
        total = total + 4.0 * value if 'loss' in name else total
    return total


def test_every_option_moves_a_loss(make_model, make_batch):
    """Else the loops above would not tell one option from another."""
    batch, seen = make_batch(), {}
    for variant, options in OPTIONS.items():
        if options or variant == 'plain':
            torch.manual_seed(5)
            losses, _ = learn(make_model(**options), batch['unsup_teacher'], batch['unsup_student'])
            seen[variant] = tuple(round(losses[name].item(), 5) for name in NAMES)
    assert len(set(seen.values())) == len(seen), seen


@pytest.mark.parametrize('kind', ['cls', 'reg'])
def test_an_unknown_divisor_is_refused(detector_cfg, kind):
    with pytest.raises(ValueError, match=f"{kind}_avg_factor must be one of .*, got 'mean'"):
        SoftTeacher(detector_cfg, {f'{kind}_avg_factor': 'mean'})


def test_the_printed_divisors_need_neither_foreground_nor_background(make_model, make_batch, monkeypatch):
    printed = dict(cls_avg_factor='separate', reg_avg_factor='positives')
    for weight in (None, dict(type='PseudoBoxIoU')):
        model, batch = make_model(**printed, background_weight=weight), make_batch()
        set_candidates(model, monkeypatch, [labels_at(), labels_at()])
        losses, _ = learn(model, batch['unsup_teacher'], batch['unsup_student'])
        # Without pseudo boxes no foreground counts, and IoU trusts no background either.
        assert losses['loss_bbox'] == 0 and (losses['loss_cls'] > 0) == (weight is None)
        assert all(value.isfinite() for value in losses.values())
        (2**16 * 4.0 * losses['loss_cls']).backward()  # as AMP scales it
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.student.parameters())


def widened(result):
    bboxes, scores = result
    return [boxes.repeat(1, 3) if boxes.shape[1] == 4 else boxes for boxes in bboxes], scores


def test_the_students_images_may_come_in_any_order(make_model, make_batch):
    model, batch = make_model(), make_batch()
    weak, strong = batch['unsup_teacher'], batch['unsup_student']
    reversed_ = dict(img=weak['img'].flip(0), img_metas=weak['img_metas'][::-1])
    results = []
    for view in (weak, reversed_):
        torch.manual_seed(0)
        results.append(learn(model, view, strong)[0])
    for name in NAMES:
        torch.testing.assert_close(results[0][name], results[1][name])


def test_the_same_file_twice_in_a_batch_trains(make_model, make_view):
    view = make_view(['u', 'u'])
    losses, _ = learn(make_model(), view, make_view(['u', 'u']))
    assert all(value.isfinite() for value in losses.values()) and losses['loss_cls'] > 0


@pytest.mark.parametrize('boxes', [([], []), ([[10, 10, 60, 60]], []), ([], [[10, 10, 60, 60], [50, 20, 120, 90]])])
def test_images_without_candidates_train_like_others(make_model, make_batch, monkeypatch, boxes):
    model, batch = make_model(cls_filter=ALWAYS, rpn_filter=ALWAYS), make_batch()
    model.reg_filter.thr = 1e9
    set_candidates(model, monkeypatch, [labels_at(*image) for image in boxes])
    del batch['sup']
    result = model.train_step(batch)
    result['loss'].backward()
    log, n = result['log_vars'], sum(map(len, boxes))
    assert all(p.grad is not None for p in model.student.parameters() if p.requires_grad)
    for name in ('candidates', 'rpn', 'cls', 'reg'):
        assert log[f'num_pseudo_{name}'] == n / 2
    for name in ('loss_rpn_bbox', 'loss_bbox'):
        assert (log[f'unsup_{name}'] > 0) == (n > 0)
    assert log['unsup_loss_cls'] > 0 and log['unsup_loss_rpn_cls'] > 0


def test_an_image_without_proposals_has_no_candidates(make_model, make_batch):
    model, batch = make_model(), make_batch()['unsup_teacher']
    with torch.no_grad():
        feats = Features(model.teacher.extract_feat(batch['img']))
        proposals = [torch.tensor([[10.0, 10, 60, 60, 0.9]]), torch.zeros(0, 5)]
        model.semi_train_cfg.candidate_score_thr = 0.0
        for order in (slice(None), slice(None, None, -1)):
            candidates, max_score = model._detect(feats, batch['img_metas'], proposals[order])
            assert [len(labels) > 0 for labels in candidates] == [len(p) > 0 for p in proposals[order]]
            assert max_score == max(labels.scores.max() for labels in candidates if len(labels))
        candidates, max_score = model._detect(feats, batch['img_metas'], [torch.zeros(0, 5)] * 2)
        assert [len(labels) for labels in candidates] == [0, 0] and max_score == 0


def test_with_positives_only_the_classification_loss_is_their_mean_cross_entropy(
    make_model, make_batch, detector_cfg, monkeypatch
):
    detector_cfg.train_cfg.rcnn.sampler.neg_pos_ub = 0
    model, batch = make_model(detector_cfg, cls_filter=ALWAYS), make_batch()
    set_candidates(model, monkeypatch, [labels_at([10, 10, 60, 60]), labels_at([20, 20, 100, 90])])
    seen = {}
    forward = RoIStage.forward
    monkeypatch.setattr(RoIStage, 'forward', lambda *args: seen.setdefault('outputs', forward(*args)))
    losses, _ = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    logits = seen['outputs'].logits
    expected = -torch.log_softmax(logits, 1)[:, 0].mean()  # each image's only box has label 0
    assert len(logits) >= 2
    torch.testing.assert_close(losses['loss_cls'], expected)


def test_with_negatives_only_there_is_no_box_loss(make_model, make_batch, detector_cfg, monkeypatch):
    detector_cfg.train_cfg.rcnn.sampler.pos_fraction = 0.0
    model, batch = make_model(detector_cfg), make_batch()
    set_candidates(model, monkeypatch, [labels_at([10, 10, 60, 60])] * 2)
    losses, _ = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    assert losses['loss_bbox'] == 0 and losses['loss_cls'] > 0


def test_small_boxes_leave_the_candidates_and_the_rpn_but_boxes_without_area_leave_every_branch(
    make_model, make_batch, monkeypatch
):
    model, batch = make_model(min_pseudo_bbox_size=10, rpn_filter=ALWAYS, cls_filter=ALWAYS), make_batch()
    model.reg_filter.thr = 1e9
    boxes = [[20, 20, 60, 60], [20, 20, 60, 30], [8, 20, 20, 60], [-30, 20, 0, 60]]  # wide, flat, at the edge, outside
    set_candidates(model, monkeypatch, [labels_at(*boxes)] * 2)
    weak, strong = batch['unsup_teacher'], batch['unsup_student']
    for meta in strong['img_metas']:
        meta['transform_matrix'] = torch.tensor([[1.0, 0, -12], [0, 1, 0], [0, 0, 1]]).numpy()
    found = model.find_pseudo_labels(weak)
    assert [len(labels) for labels in found.candidates] == [3, 3]  # the flat one is 10 high: not more than 10
    labels = model.project_pseudo_labels(found, strong)
    rpn, cls, reg = labels.rpn, labels.cls, labels.reg
    # Shifted 12 to the left the third is 8 wide, the fourth has no area.
    assert [len(branch[0]) for branch in (rpn, cls, reg)] == [1, 2, 2]
    assert rpn[0].bboxes.tolist() == [[8, 20, 48, 60]]


def test_the_variance_is_measured_only_if_a_filter_asks(make_model, make_batch):
    batch = make_batch()['unsup_teacher']
    measured = make_model().find_pseudo_labels(batch).candidates
    unmeasured = make_model(reg_filter=ALWAYS).find_pseudo_labels(batch).candidates
    assert all(labels.reg_variance.shape == labels.scores.shape for labels in measured)
    assert all(labels.reg_variance is None for labels in unmeasured) and len(unmeasured[0]) > 0


def test_a_pseudo_box_may_be_the_mean_of_its_jittered_copies(make_model, make_batch):
    batch, model = make_batch()['unsup_teacher'], make_model()
    torch.manual_seed(0)
    detected = model.find_pseudo_labels(batch).candidates
    mean_model = make_model(pseudo_bbox='jitter_mean')
    torch.manual_seed(0)
    found = mean_model.find_pseudo_labels(batch).candidates
    jitter, stage, levels = model.reg_filter, RoIStage(model.teacher), model.teacher.extract_feat(batch['img'])
    torch.manual_seed(0)
    copies = [jitter._jitter(c.bboxes).flatten(0, 1) for c in detected]
    refined = stage.refine(Features(levels), batch['img_metas'], copies, [c.labels.repeat(4) for c in detected])
    assert len(detected[0]) > 0
    for boxes, before, after in zip(refined, detected, found, strict=True):
        torch.testing.assert_close(after.bboxes, boxes.detach().view(4, -1, 4).mean(dim=0))
        torch.testing.assert_close(after.reg_variance, before.reg_variance)
        assert (after.bboxes - before.bboxes).abs().max() > 0.1 and torch.equal(after.scores, before.scores)


def test_soft_targets_leave_nothing_to_weigh(detector_cfg):
    with pytest.raises(ValueError, match='weighs every RoI alike: set background_weight=None'):
        SoftTeacher(detector_cfg, dict(cls_targets='soft'))
    with pytest.raises(ValueError, match='leave cls_avg_factor out'):
        SoftTeacher(detector_cfg, dict(cls_targets='soft', background_weight=None, cls_avg_factor='separate'))
    detector_cfg.roi_head.bbox_head.loss_cls = dict(type='FocalLoss', use_sigmoid=True)
    with pytest.raises(TypeError, match='needs a softmax cross entropy, the box head has a FocalLoss'):
        SoftTeacher(detector_cfg, dict(cls_targets='soft', background_weight=None))


def test_soft_targets_without_rois_give_a_loss_of_zero(make_model):
    stage = RoIStage(make_model().student)
    none = torch.zeros(0, 4, requires_grad=True)
    losses = stage.soft_cls_loss(none, none.detach())
    assert losses['loss_cls'] == 0 and losses['loss_cls'].requires_grad and losses['acc'] == 0


def test_a_mean_of_jittered_copies_needs_jittering(detector_cfg):
    with pytest.raises(ValueError, match="pseudo_bbox='jitter_mean' needs a JitterVarianceFilter"):
        SoftTeacher(detector_cfg, dict(pseudo_bbox='jitter_mean', reg_filter=None))


def test_soft_nms_is_for_testing(make_model, make_batch, detector_cfg):
    """A teacher with soft-NMS has the pseudo boxes of one with NMS; it detects with soft-NMS."""
    batch, plain = make_batch()['unsup_teacher'], make_model()
    detector_cfg.test_cfg.rcnn.nms = dict(type='soft_nms', iou_threshold=0.5)
    soft = make_model(detector_cfg)
    torch.manual_seed(0)
    expected = plain.find_pseudo_labels(batch).candidates
    torch.manual_seed(0)
    found = soft.find_pseudo_labels(batch).candidates
    for own, other in zip(found, expected, strict=True):
        assert torch.equal(own.bboxes, other.bboxes) and torch.equal(own.scores, other.scores) and len(own) > 0
    with torch.no_grad():
        tested = [model.eval().simple_test(batch['img'], batch['img_metas']) for model in (plain, soft)]
    assert sum(map(len, tested[1][0])) > sum(map(len, tested[0][0]))


def test_each_branch_learns_from_its_own_filter(make_model, make_batch):
    batch = make_batch()
    for branch in ('rpn', 'cls', 'reg'):
        model = make_model(**{f'{name}_filter': ALWAYS if name == branch else NEVER for name in ('rpn', 'cls', 'reg')})
        _, figures = learn(model, batch['unsup_teacher'], batch['unsup_student'])
        for name in ('rpn', 'cls', 'reg'):
            expected = figures['num_pseudo_candidates'] if name == branch else 0
            assert figures[f'num_pseudo_{name}'] == expected and figures['num_pseudo_candidates'] > 0


def test_figures_are_means_per_image_and_the_highest_score_of_any_proposal(make_model, make_batch):
    model, batch = make_model(), make_batch()
    _, figures = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    candidates = model.find_pseudo_labels(batch['unsup_teacher']).candidates
    scores = torch.cat([labels.scores for labels in candidates])
    torch.testing.assert_close(figures['teacher_score'], scores.mean())
    torch.testing.assert_close(figures['teacher_max_score'], scores.max())
    assert figures['num_pseudo_candidates'] == len(scores) / 2
    model.semi_train_cfg.candidate_score_thr = 1.0
    _, none = learn(model, batch['unsup_teacher'], batch['unsup_student'])
    assert none['teacher_score'] == 0 and none['teacher_max_score'] == figures['teacher_max_score']
    assert all(value.dtype == torch.float32 and value.shape == () for value in none.values())


def test_the_highest_score_is_of_a_class_not_of_the_background(make_model, make_batch):
    model = make_model()
    model.teacher.roi_head.bbox_head.fc_cls.bias.data[-1] += 30
    found = model.find_pseudo_labels(make_batch()['unsup_teacher'])
    assert found.max_score < 1e-3 and not any(map(len, found.candidates))


def test_a_one_stage_detector_is_refused(detector_cfg):
    assigner = detector_cfg.train_cfg.rpn.assigner
    retinanet = type(detector_cfg)(
        type='RetinaNet',
        backbone=detector_cfg.backbone,
        neck=detector_cfg.neck,
        bbox_head=dict(
            type='RetinaHead',
            num_classes=3,
            in_channels=16,
            stacked_convs=1,
            feat_channels=16,
            anchor_generator=detector_cfg.rpn_head.anchor_generator,
        ),
        train_cfg=dict(assigner=assigner, allowed_border=-1, pos_weight=-1),
        test_cfg=dict(),
    )
    with pytest.raises(TypeError, match='with an RPN; RetinaNet has none'):
        SoftTeacher(retinanet)


def test_two_filters_that_measure_variance_are_refused(detector_cfg):
    jitter = dict(type='JitterVarianceFilter')
    with pytest.raises(ValueError, match='one filter at most may measure'):
        SoftTeacher(detector_cfg, dict(cls_filter=jitter, reg_filter=jitter))
