"""The weight of background samples."""

import torch
from mmdet.core import bbox2roi

from ssod.models import TeacherBackgroundScore


def boxes(*images):
    return [torch.tensor(rows, dtype=torch.float32).reshape(-1, 4) for rows in images]


def test_it_is_the_teachers_last_class_at_the_box_in_the_teachers_view(make_model, make_view):
    teacher, view = make_model().teacher, make_view(['u', 'v'])
    given = boxes([[10, 10, 60, 60]], [[20, 30, 90, 90], [0, 0, 128, 96]])
    with torch.no_grad():
        feats = teacher.extract_feat(view['img'])
        weights = TeacherBackgroundScore()(given, teacher.roi_head, feats)
        for i, (image, box) in enumerate([(0, 0), (1, 0), (1, 1)]):
            rois = bbox2roi([given[image][box : box + 1]])
            logits = teacher.roi_head._bbox_forward([f[image : image + 1] for f in feats], rois)['cls_score'][0]
            expected = logits[3].exp() / logits.exp().sum()
            torch.testing.assert_close(weights[i], expected, rtol=1e-4, atol=1e-6)
    assert weights.std() > 1e-3


def test_the_weight_carries_no_gradient(make_model, make_view):
    model, view = make_model(), make_view(['u'])
    feats = model.student.extract_feat(view['img'])
    assert not TeacherBackgroundScore()(boxes([[0, 0, 50, 50]]), model.student.roi_head, feats).requires_grad


def test_no_samples_have_no_weights(make_model, make_view):
    teacher, view = make_model().teacher, make_view(['u', 'v'])
    with torch.no_grad():
        feats = teacher.extract_feat(view['img'])
    assert TeacherBackgroundScore()(boxes([], []), teacher.roi_head, feats).shape == (0,)
