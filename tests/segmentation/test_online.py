"""Mean Teacher, FixMatch, UniMatch: losses by naive formulas, padding and confidence, CutMix, missing views."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ssod.segmentation.cutmix import one_box_masks
from ssod.segmentation.maps import logits_of
from ssod.segmentation.online import FixMatch, MeanTeacherSegmentor, UniMatch
from ssod.segmentation.trial import tiny_segmentor, view


def make(kind, **settings):
    torch.manual_seed(0)
    cfg = tiny_segmentor()
    cfg.decode_head.dropout_ratio = 0
    model = kind(cfg, semi_train_cfg=settings)
    for half in (model.student, model.teacher):
        half.decode_head.conv_seg.weight.data.normal_()
    return model.train()


def batch(*more):
    weak = view('unlabeled', False)
    weak.pop('gt_semantic_seg')
    strong = {**weak, 'img': weak['img'] * 0.7 + 0.2}
    views = dict(sup=view('labeled', False), unsup_teacher=weak, unsup_student=strong)
    return {**views, **{name: {**weak, 'img': weak['img'] * 1.3} for name in more}}


def test_mean_teacher_compares_probabilities_of_the_two_models():
    model, views = make(MeanTeacherSegmentor, unsup_weight=100.0, ramp=10), batch()
    model.update_teacher(5)
    twin = copy.deepcopy(model)
    losses = model(**views)
    with torch.no_grad():
        target = logits_of(twin.teacher, views['unsup_teacher']['img']).softmax(1)
    own = logits_of(twin.student, views['unsup_student']['img']).softmax(1)
    expected = 100 * np.exp(-5 * 0.25) * (own - target).square().mean()
    torch.testing.assert_close(losses['unsup_loss_seg'], expected)


@pytest.mark.parametrize('labels_from', ['teacher', 'student'])
def test_fixmatch_learns_confident_pixels_inside_images(labels_from):
    model, views = make(FixMatch, threshold=0.6, cutmix_prob=0.0, labels_from=labels_from), batch()
    for name in ('unsup_teacher', 'unsup_student'):
        views[name]['img_metas'] = [dict(meta, img_shape=(40, 50, 3)) for meta in views[name]['img_metas']]
    twin = copy.deepcopy(model)
    with torch.no_grad():
        p = logits_of(getattr(twin, labels_from), views['unsup_teacher']['img']).softmax(1)[..., :40, :50]
    threshold = model.semi_train_cfg.threshold = p.amax(1).median().item()
    losses = model(**views)
    logits = logits_of(twin.student, views['unsup_student']['img'])[..., :40, :50]
    confidence, labels = p.max(1)
    assert 0 < (confidence >= threshold).float().mean() < 1
    ce = F.cross_entropy(logits, labels, reduction='none')
    torch.testing.assert_close(losses['unsup_loss_seg'], (ce * (confidence >= threshold)).mean())
    torch.testing.assert_close(losses['confident_share'], (confidence >= threshold).float().mean() * 100)


def test_fixmatch_mixes_another_image_with_its_labels_and_confidence():
    model, views = make(FixMatch, threshold=0.5, cutmix_prob=1.0), batch()
    twin = copy.deepcopy(model)
    np.random.seed(3)
    losses = model(**views)
    np.random.seed(3)
    masks = torch.from_numpy(one_box_masks(2, (48, 64), 1.0))
    with torch.no_grad():
        confidence, labels = logits_of(twin.teacher, views['unsup_teacher']['img']).softmax(1).max(1)
    other = [1, 0]
    chosen = masks[:, 0] > 0
    labels = torch.where(chosen, labels[other], labels)
    confidence = torch.where(chosen, confidence[other], confidence)
    strong = views['unsup_student']['img']
    logits = logits_of(twin.student, strong * (1 - masks) + strong[other] * masks)
    ce = F.cross_entropy(logits, labels, reduction='none')
    torch.testing.assert_close(losses['unsup_loss_seg'], (ce * (confidence >= 0.5)).mean())


def test_unimatch_weighs_two_strong_views_and_perturbed_features():
    model, views = make(UniMatch, threshold=0.0, cutmix_prob=0.0), batch('unsup_student_2')
    twin = copy.deepcopy(model)
    torch.manual_seed(7)
    losses = model(**views)
    with torch.no_grad():
        labels = logits_of(twin.teacher, views['unsup_teacher']['img']).argmax(1)
    torch.manual_seed(7)
    strong = [F.cross_entropy(logits_of(twin.student, views[f'unsup_student{n}']['img']), labels) for n in ('', '_2')]
    feats = list(twin.student.extract_feat(views['unsup_teacher']['img']))
    feats[0] = F.dropout2d(feats[0], 0.5)
    feats[-1] = F.dropout2d(feats[-1], 0.5)
    out = F.interpolate(twin.student.decode_head(feats), (48, 64), mode='bilinear', align_corners=True)
    expected = 0.25 * sum(strong) + 0.5 * F.cross_entropy(out, labels)
    torch.testing.assert_close(losses['unsup_loss_seg'], expected)
    assert model.count_images(views) == 4


@pytest.mark.parametrize('kind', [MeanTeacherSegmentor, FixMatch, UniMatch])
def test_missing_branches(kind):
    more = ('unsup_student_2',) if kind is UniMatch else ()
    model, views = make(kind), batch(*more)
    full = list(model(**views))
    for names in (['sup'], [name for name in views if name != 'sup'], []):
        losses = model(**{name: views[name] for name in names})
        assert list(losses) == full
        model.zero_grad()
        model._parse_losses(losses)[0].backward()
        assert all(p.grad is not None for p in model.student.parameters())
    with pytest.raises(ValueError, match='needs the branch unsup_teacher'):
        model(**{name: value for name, value in views.items() if name != 'unsup_teacher'})
    if more:
        with pytest.raises(ValueError, match='two strong views'):
            model(**{name: value for name, value in views.items() if name != 'unsup_student_2'})


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r'semi_train_cfg.threshold is in \[0, 1\], got 95'):
        make(FixMatch, threshold=95)
    with pytest.raises(ValueError, match="labels_from must be one of 'teacher', 'student'"):
        make(FixMatch, labels_from='ema')
    with pytest.raises(ValueError, match="consistency must be one of 'mse', 'kl'"):
        make(MeanTeacherSegmentor, consistency='l2')
