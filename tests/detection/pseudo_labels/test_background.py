"""The weight of background samples: Table 8's indicators."""

import dataclasses
from functools import partial

import pytest
import torch
from mmdet.core import bbox2roi

from ssod.detection import PredictionDifference, PseudoBoxIoU, StudentBackgroundScore, TeacherBackgroundScore
from ssod.detection.heads import Features, RoIStage
from ssod.detection.pseudo_labels import BackgroundSamples

INDICATORS = [
    TeacherBackgroundScore(),
    StudentBackgroundScore(),
    PredictionDifference(),
    PseudoBoxIoU(),
    PseudoBoxIoU(reverse=True),
]


def boxes(*images):
    return [torch.tensor(rows, dtype=torch.float32).reshape(-1, 4) for rows in images]


@pytest.fixture
def samples(make_model, make_view):
    """One sample on the first image, two on the second, which has two pseudo boxes."""
    teacher, view = make_model().teacher, make_view(['u', 'v'])
    given = boxes([[10, 10, 60, 60]], [[20, 30, 90, 90], [0, 0, 128, 96]])
    with torch.no_grad():
        features = Features(teacher.extract_feat(view['img']))
    return BackgroundSamples(
        bboxes=boxes([[0, 0, 10, 10]], [[0, 0, 10, 10], [5, 0, 15, 10]]),
        teacher_bboxes=given,
        pseudo_bboxes=boxes([], [[5, 0, 15, 10], [100, 50, 120, 90]]),
        student_logits=torch.tensor([[0.0, 0, 0, 2], [1, 0, 0, 1], [3, 0, 0, 0]], requires_grad=True),
        teacher_logits=partial(RoIStage(teacher).logits, features),
    )


def teacher_by_hand(samples):
    """Softmax of the teacher's logits, box by box."""
    result = []
    for image, box in [(0, 0), (1, 0), (1, 1)]:
        rois = bbox2roi([samples.teacher_bboxes[image][box : box + 1]])
        head, (features,) = samples.teacher_logits.func.__self__.roi_head, samples.teacher_logits.args
        with torch.no_grad():
            logits = head._bbox_forward(features.of_image(image).levels, rois)['cls_score'][0]
        result.append(logits[3].exp() / logits.exp().sum())
    return torch.stack(result)


e = 2.718281828459045
STUDENT = torch.tensor([e**2 / (3 + e**2), e / (2 + 2 * e), 1 / (3 + e**3)])


def test_the_teachers_last_class_at_the_box_in_the_teachers_view(samples):
    weights = TeacherBackgroundScore()(samples)
    torch.testing.assert_close(weights, teacher_by_hand(samples), rtol=1e-4, atol=1e-6)
    assert weights.std() > 1e-3


def test_the_students_last_class(samples):
    torch.testing.assert_close(StudentBackgroundScore()(samples), STUDENT)


def test_one_minus_the_difference_of_the_two(samples):
    expected = 1 - (teacher_by_hand(samples) - STUDENT).abs()
    torch.testing.assert_close(PredictionDifference()(samples), expected, rtol=1e-4, atol=1e-6)


def test_iou_with_the_nearest_pseudo_box(samples):
    # No pseudo box on the first image; half of the box shared: 50 of 150 square pixels; the same box.
    expected = torch.tensor([0, 1 / 3, 1])
    torch.testing.assert_close(PseudoBoxIoU()(samples), expected)
    torch.testing.assert_close(PseudoBoxIoU(reverse=True)(samples), 1 - expected)


@pytest.mark.parametrize('indicator', INDICATORS)
def test_a_weight_carries_no_gradient(samples, indicator):
    assert not indicator(samples).requires_grad


@pytest.mark.parametrize('indicator', INDICATORS)
def test_no_samples_have_no_weights(samples, indicator):
    none = dataclasses.replace(
        samples, bboxes=boxes([], []), teacher_bboxes=boxes([], []), student_logits=torch.zeros(0, 4)
    )
    assert indicator(none).shape == (0,)
