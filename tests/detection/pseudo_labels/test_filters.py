"""Which candidates pass, and the box regression variance."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from mmdet.models.builder import MODELS

from ssod.detection import JitterVarianceFilter, PseudoLabels, ScoreFilter
from ssod.detection.heads import Features, RoIStage
from ssod.detection.pseudo_labels.filters import relative_spread, side_lengths


def candidates(scores, variance=None):
    n = len(scores)
    variance = None if variance is None else torch.tensor(variance)
    return PseudoLabels(torch.zeros(n, 4), torch.zeros(n, dtype=torch.long), torch.tensor(scores), variance)


@pytest.fixture
def features(make_model, make_view):
    """The teacher's RoI head as a stage, its features of two images, their metas."""
    model, view = make_model(), make_view(['u', 'v'])
    with torch.no_grad():
        return RoIStage(model.teacher), Features(model.teacher.extract_feat(view['img'])), view['img_metas']


def refining(stage, feats, metas):
    return partial(stage.refine, feats, metas)


def test_a_score_must_exceed_the_threshold():
    assert ScoreFilter(thr=0.5)(candidates([0.4, 0.5, 0.6])).tolist() == [False, False, True]


def test_the_foreground_score_counts_if_asked_for():
    labels = replace(candidates([0.4, 0.5, 0.6]), foreground_scores=torch.tensor([0.9, 0.5, 0.7]))
    assert ScoreFilter(thr=0.5, score='foreground')(labels).tolist() == [True, False, True]
    assert ScoreFilter(thr=0.5)(labels).tolist() == [False, False, True]


def test_a_variance_must_be_under_the_threshold():
    kept = JitterVarianceFilter(thr=0.5)(candidates([0.6] * 3, [0.4, 0.5, 0.6]))
    assert kept.tolist() == [True, False, False]


def test_no_candidates_give_an_empty_mask():
    for candidate_filter in (ScoreFilter(), JitterVarianceFilter()):
        kept = candidate_filter(candidates([], []))
        assert kept.shape == (0,) and kept.dtype == torch.bool


def test_defaults_are_the_authors():
    score, jitter = MODELS.build(dict(type='ScoreFilter')), MODELS.build(dict(type='JitterVarianceFilter'))
    assert (score.thr, jitter.thr, jitter.num_jitters, jitter.jitter_scale) == (0.9, 0.02, 10, 0.06)
    assert (score.score, jitter.distribution, jitter.relative_to) == ('class', 'normal', 'refined')


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match='num_jitters of at least 2, got 1'):
        JitterVarianceFilter(num_jitters=1)
    for thr in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r'score in \[0, 1\]'):
            ScoreFilter(thr=thr)
    with pytest.raises(ValueError, match="score must be one of 'class', 'foreground', got 'objectness'"):
        ScoreFilter(score='objectness')
    with pytest.raises(ValueError, match="distribution must be one of 'normal', 'uniform', got 'laplace'"):
        JitterVarianceFilter(distribution='laplace')
    with pytest.raises(ValueError, match="relative_to must be one of 'refined', 'candidate', got 'image'"):
        JitterVarianceFilter(relative_to='image')


def test_the_spread_of_three_boxes_worked_by_hand():
    refined = torch.tensor([[[0.0, 0, 10, 20]], [[2, 0, 12, 20]], [[4, 0, 14, 26]]])
    # std of the sides 2, 0, 2, sqrt(12); the mean box is 10 wide and 22 high.
    expected = (2 / 10 + 0 + 2 / 10 + 12**0.5 / 22) / 4
    assert relative_spread(refined, side_lengths(refined.mean(0))).tolist() == pytest.approx([expected])
    by_one_size = (2 + 0 + 2 + 12**0.5) / 16 / 4
    assert relative_spread(refined, torch.tensor([[16.0]])).tolist() == pytest.approx([by_one_size])


def test_boxes_of_less_than_a_pixel_count_as_one():
    refined = torch.tensor([[[0.0, 0, 0, 0]], [[0.2, 0, 0.2, 0]]])
    spread = relative_spread(refined, side_lengths(refined.mean(0)))
    assert spread.tolist() == pytest.approx([2 * 0.2 / 2**0.5 / 4])


def test_the_spread_may_be_measured_by_the_candidates_mean_side(features):
    boxes, labels = torch.tensor([[10.0, 10, 60, 90], [30, 20, 90, 80]]), torch.tensor([0, 2])
    stage, feats, metas = features
    torch.manual_seed(0)
    jittered = JitterVarianceFilter(num_jitters=4)._jitter(boxes).flatten(0, 1)
    refined = stage.refine(feats.of_image(0), metas[:1], [jittered], [labels.repeat(4)])[0].detach().view(4, 2, 4)
    expected = refined.std(dim=0).mean(dim=1) / torch.tensor([(50 + 80) / 2, (60 + 60) / 2])
    torch.manual_seed(0)
    jitter = JitterVarianceFilter(num_jitters=4, relative_to='candidate')
    variance = jitter.variance(refining(stage, feats.of_image(0), metas[:1]), [boxes], [labels])
    torch.testing.assert_close(variance[0], expected, rtol=1e-4, atol=1e-6)


def test_uniform_offsets_fill_their_range_and_no_more():
    jitter = JitterVarianceFilter(num_jitters=4000, distribution='uniform')
    offsets = jitter._jitter(torch.tensor([[100.0, 100, 300, 200]]))[:, 0] - torch.tensor([100.0, 100, 300, 200])
    relative = offsets / torch.tensor([200.0, 100, 200, 100])
    assert relative.abs().max() <= 0.06 + 1e-6 and relative.min() < -0.059 and relative.max() > 0.059
    torch.testing.assert_close(relative.std(dim=0), torch.full((4,), 0.06 / 3**0.5), rtol=0.05, atol=0)


def test_the_draw_is_one_normal_tensor_per_image_in_order_scaled_by_each_side():
    jitter = JitterVarianceFilter(num_jitters=3, jitter_scale=0.1)
    boxes = torch.tensor([[10.0, 10, 30, 50], [5, 5, 5.7, 5.8]])
    torch.manual_seed(1)
    drawn = jitter._jitter(boxes)
    torch.manual_seed(1)
    noise = torch.randn(3, 2, 4)
    for k in range(3):
        for i, (w, h) in enumerate([(20, 40), (1, 1)]):
            expected = boxes[i] + 0.1 * noise[k, i] * torch.tensor([w, h, w, h])
            torch.testing.assert_close(drawn[k, i], expected)


def test_a_tiny_box_is_not_turned_inside_out(features):
    box = torch.tensor([[20.0, 20, 20.01, 60]])
    jitter = JitterVarianceFilter(num_jitters=50)
    torch.manual_seed(0)
    drawn = jitter._jitter(box)
    assert (drawn[..., 2:] >= drawn[..., :2]).all() and drawn[..., 0].min() < 19.9 < 20.1 < drawn[..., 2].max()
    stage, feats, metas = features
    variance = jitter.variance(refining(stage, feats.of_image(0), metas[:1]), [box], [torch.tensor([0])])
    assert variance[0].isfinite().all()


def test_an_image_without_candidates_does_not_disturb_the_others(features):
    jitter = JitterVarianceFilter(num_jitters=4)
    boxes, labels = torch.tensor([[10.0, 10, 60, 60], [30, 20, 90, 80]]), torch.tensor([0, 2])
    none, no_label = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    torch.manual_seed(0)
    first = jitter.variance(refining(*features), [boxes, none], [labels, no_label])
    torch.manual_seed(0)
    with_column = jitter.variance(refining(*features), [torch.cat([boxes, boxes[:, :1]], 1), none], [labels, no_label])
    assert [len(v) for v in first] == [2, 0] and (first[0] > 0).all()
    torch.testing.assert_close(first, with_column)
    assert [len(v) for v in jitter.variance(refining(*features), [none, none], [no_label, no_label])] == [0, 0]


def test_the_variance_does_not_depend_on_what_other_images_hold(features):
    stage, feats, metas = features
    jitter = JitterVarianceFilter(num_jitters=4)
    boxes, labels = torch.tensor([[10.0, 10, 60, 60]]), torch.tensor([1])
    torch.manual_seed(0)
    alone = jitter.variance(refining(stage, feats.of_image(0), metas[:1]), [boxes], [labels])
    torch.manual_seed(0)
    together = jitter.variance(refining(stage, feats, metas), [boxes, boxes + 5], [labels, labels])
    torch.testing.assert_close(alone[0], together[0])
