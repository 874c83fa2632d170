"""Thresholds that each class finds for itself: by rank (LabelMatch), by a mixture (Consistent-Teacher)."""

import math

import pytest
import torch
from detectors import dense

from ssod.detection import MeanTeacher, MixtureThresholdFilter, PseudoLabels, RankThresholdFilter
from ssod.detection.pseudo_labels.mixture import upper_threshold
from ssod.detection.pseudo_labels.thresholds import best_of_image


def labels_of(scores, labels=None):
    scores = torch.tensor(scores, dtype=torch.float32)
    labels = torch.zeros(len(scores)).long() if labels is None else torch.tensor(labels)
    return PseudoLabels(torch.zeros(len(scores), 4), labels, scores)


def row(scores, length=100):
    return torch.cat([torch.as_tensor(scores, dtype=torch.float32), torch.full((length - len(scores),), -1.0)])


def clusters(seed, *groups):
    """Scores of (mean, standard deviation, number) each."""
    generator = torch.Generator().manual_seed(seed)
    parts = [mean + std * torch.randn(number, generator=generator) for mean, std, number in groups]
    return torch.cat(parts).clamp(0, 1)


def naive_threshold(scores, settled):
    """Expectation and maximization in plain loops; the likeliest score of the upper Gaussian, or None."""
    x = [float(s) for s in scores]
    mean, weight, before = [min(x), max(x)], [0.5, 0.5], -math.inf
    var = [((mean[1] - mean[0]) / 4) ** 2 + 1e-6 if settled else 1.0] * 2

    def density(s, k):
        return weight[k] * math.exp(-((s - mean[k]) ** 2) / var[k] / 2) / math.sqrt(2 * math.pi * var[k])

    for _ in range(100):
        both = [(density(s, 0), density(s, 1)) for s in x]
        likelihood = sum(math.log(a + b) for a, b in both) / len(x)
        for k in (0, 1):
            shares = [pair[k] / sum(pair) for pair in both]
            total = sum(shares)
            mean[k] = sum(share * s for share, s in zip(shares, x, strict=True)) / total
            var[k] = sum(share * (s - mean[k]) ** 2 for share, s in zip(shares, x, strict=True)) / total + 1e-6
            weight[k] = total / len(x)
        if abs(likelihood - before) < (1e-6 if settled else 1e-3):
            break
        before = likelihood
    upper = [s for s in x if density(s, 1) > density(s, 0)]
    return max(upper, key=lambda s: density(s, 0) + density(s, 1)) if upper else None


def one_threshold(scores, settled, fallback=0.4):
    return upper_threshold(row(scores)[None], fallback, settled).item()


class TestMixture:
    @pytest.mark.parametrize('settled', [False, True])
    @pytest.mark.parametrize('seed', range(5))
    def test_of_two_groups_the_threshold_is_a_score_of_the_upper(self, seed, settled):
        scores = clusters(seed, (0.15, 0.05, 60), (0.8, 0.06, 40))
        found = one_threshold(scores, settled)
        assert found == pytest.approx(naive_threshold(scores.double(), settled), abs=1e-6)
        assert found in scores.tolist() and found > 0.5
        if settled:  # the likeliest of the group
            assert 0.75 < found < 0.85

    @pytest.mark.parametrize('seed', range(3))
    def test_as_the_authors_code_does_by_scikit_learn(self, seed):
        mixture = pytest.importorskip('sklearn.mixture')
        for scores in (
            clusters(seed, (0.15, 0.05, 60), (0.8, 0.06, 40)),
            clusters(seed, (0.6, 0.05, 100)),
            torch.rand(100, generator=torch.Generator().manual_seed(seed)) ** 4,
        ):
            start = dict(weights_init=[0.5, 0.5], means_init=[[scores.min()], [scores.max()]])
            model = mixture.GaussianMixture(2, **start, precisions_init=[[[1.0]], [[1.0]]])
            column = scores.double()[:, None].numpy()
            upper = torch.from_numpy(model.fit(column).predict(column) == 1)
            likelihood = torch.from_numpy(model.score_samples(column)).masked_fill(~upper, -math.inf)
            assert one_threshold(scores, settled=False) == pytest.approx(scores[likelihood.argmax()].item())

    @pytest.mark.parametrize('settled', [False, True])
    def test_classes_are_fitted_each_for_itself(self, settled):
        first = row(clusters(0, (0.2, 0.03, 30), (0.9, 0.03, 20)))
        second = row(clusters(1, (0.1, 0.02, 40), (0.5, 0.04, 60)))
        both = upper_threshold(torch.stack([first, second]), 0.3, settled)
        alone = torch.cat([upper_threshold(each[None], 0.3, settled) for each in (first, second)])
        assert torch.equal(both, alone) and both[0] > 0.8 and 0.3 < both[1] < 0.6

    @pytest.mark.parametrize('seed', range(20))
    def test_one_group_has_the_fallback_or_in_the_authors_way_about_its_mean(self, seed):
        scores = clusters(seed, (0.6, 0.05, 100))
        assert one_threshold(scores, settled=True) == pytest.approx(0.4)
        as_authors = one_threshold(scores, settled=False)
        assert as_authors == pytest.approx(naive_threshold(scores.double(), False), abs=1e-6)
        assert as_authors == pytest.approx(scores.mean().item(), abs=0.05)

    @pytest.mark.parametrize('settled', [False, True])
    @pytest.mark.parametrize('scores', [[], [0.9], [0.1, 0.9], [0.1, 0.1, 0.9]])
    def test_fewer_than_four_scores_have_the_fallback(self, scores, settled):
        assert one_threshold(scores, settled) == pytest.approx(0.4)
        assert one_threshold([*scores, *[0.1] * 4, *[0.9] * 4], settled) > 0.85

    @pytest.mark.parametrize('settled', [False, True])
    @pytest.mark.parametrize('score', [0.0, 0.5, 1.0])
    def test_equal_scores_have_the_fallback(self, score, settled):
        assert one_threshold([score] * 50, settled) == pytest.approx(0.4)

    @pytest.mark.parametrize('settled', [False, True])
    def test_ties_within_the_groups(self, settled):
        assert one_threshold([0.2] * 10 + [0.7] * 10, settled) == pytest.approx(0.7)

    def test_an_image_keeps_as_many_as_its_scores_add_up_to(self):
        assert best_of_image(torch.tensor([0.3, 0.9, 0.8, 0.1])).tolist() == [False, True, True, False]  # 2.1
        assert best_of_image(torch.tensor([0.3])).tolist() == [False]
        assert best_of_image(torch.tensor([])).tolist() == []

    def test_the_last_scores_of_a_class_count(self):
        keep = MixtureThresholdFilter(thr=0.5, memory=4)
        keep.reserve(2)
        keep.observe([labels_of([0.9, 0.8, 0.7], [0, 1, 0])])  # round(2.4) = 2 are kept
        assert keep.scores.tolist() == [[pytest.approx(0.9), -1, -1, -1], [pytest.approx(0.8), -1, -1, -1]]
        for _ in range(5):
            keep.observe([labels_of([1.0]), labels_of([])])
        assert keep.scores[0].tolist() == [1.0] * 4

    def test_a_candidate_reaches_the_threshold_of_its_class_and_is_among_the_best(self):
        keep = MixtureThresholdFilter(thr=0.5, fit='settled')
        keep.reserve(2)
        keep.scores[0] = row(clusters(0, (0.15, 0.05, 60), (0.8, 0.02, 40)))
        thr = keep.thresholds()[0].item()
        assert keep(labels_of([thr, thr - 0.01, 0.55, 0.45], [0, 0, 1, 1])).tolist() == [True, False, True, False]
        # The sum is 2.49: two are kept, though three reach their threshold.
        assert keep(labels_of([0.99, 0.98, 0.52], [0, 0, 1])).tolist() == [True, True, False]
        assert keep(labels_of([])).shape == (0,)

    @pytest.mark.parametrize('wrong', [dict(thr=1.2), dict(memory=3), dict(fit='best')])
    def test_values_out_of_range(self, wrong):
        with pytest.raises(ValueError, match='MixtureThresholdFilter: '):
            MixtureThresholdFilter(**wrong)


def ranked(scores, boxes, images=10, labeled=10, **settings):
    """A filter that has seen ``boxes`` boxes of class 0 on ``labeled`` images, and the scores on ``images``."""
    keep = RankThresholdFilter(**{'memory': 10**9, 'floor': 0.0, **settings})
    keep.reserve(2)
    keep.count_labels([torch.zeros(boxes, dtype=torch.long)] + [torch.zeros(0, dtype=torch.long)] * (labeled - 1))
    keep.observe([labels_of(scores)] + [labels_of([])] * (images - 1))
    return keep


class TestRank:
    @pytest.mark.parametrize('boxes', [5, 20, 33, 100])
    def test_a_fifth_of_the_boxes_that_are_expected_pass(self, boxes):
        scores = torch.rand(200, generator=torch.Generator().manual_seed(0)).tolist()
        keep = ranked(scores, boxes)
        quota = 0.2 * boxes / 10 * 10
        thr = keep.thresholds()[0].item()
        assert sum(score > thr for score in scores) <= quota
        assert sum(score >= thr - 1 / 200 for score in scores) > quota  # a bin lower would be too low
        assert sorted(scores, reverse=True)[int(quota)] == pytest.approx(thr, abs=2 / 200)

    def test_the_more_boxes_a_class_has_the_lower_is_its_threshold(self):
        scores = torch.rand(200, generator=torch.Generator().manual_seed(0)).tolist()
        thresholds = [ranked(scores, boxes).thresholds()[0].item() for boxes in range(0, 1100, 50)]
        assert thresholds == sorted(thresholds, reverse=True)
        assert thresholds[0] == pytest.approx(max(scores), abs=1 / 200) and thresholds[-1] == 0

    def test_the_floor_is_kept(self):
        keep = ranked([0.9, 0.5, 0.2, 0.1], boxes=1000, floor=0.3)
        assert keep.thresholds()[0].item() == pytest.approx(0.3)
        assert keep(labels_of([0.9, 0.31, 0.3, 0.2])).tolist() == [True, True, False, False]

    def test_a_class_that_nobody_has_seen_waits(self):
        assert ranked([0.9], boxes=10).thresholds()[1] == 1
        fresh = RankThresholdFilter()
        fresh.reserve(3)
        assert fresh.thresholds().tolist() == [1] * 3 and fresh(labels_of([0.99])).tolist() == [False]

    def test_old_images_fade(self):
        keep = ranked([], boxes=10, memory=100)
        for _ in range(1000):
            keep.observe([labels_of([0.9])])
        assert keep.images[1].item() == pytest.approx(100, rel=0.01)
        assert keep.histogram[0].sum().item() == pytest.approx(100, rel=0.01)

    def test_the_number_of_images_of_either_kind_does_not_move_a_threshold(self):
        scores = [0.9, 0.8, 0.7, 0.6, 0.5]
        one, ten = ranked(scores, 10, images=1, labeled=1), ranked(scores * 10, 100, images=10, labeled=10)
        assert torch.equal(one.thresholds(), ten.thresholds())

    @pytest.mark.parametrize('wrong', [dict(share=0), dict(floor=2), dict(memory=0), dict(bins=1)])
    def test_values_out_of_range(self, wrong):
        with pytest.raises(ValueError, match='RankThresholdFilter: '):
            RankThresholdFilter(**wrong)


@pytest.mark.parametrize('kind', ['RankThresholdFilter', 'MixtureThresholdFilter'])
class TestInTraining:
    def test_soft_teacher_learns_thresholds_and_looking_does_not(self, make_model, make_batch, kind):
        model = make_model(cls_filter=dict(type=kind), candidate_score_thr=0.3)
        batch = make_batch()
        state = {name: value.clone() for name, value in model.cls_filter.state_dict().items()}
        model.pseudo_label_views(batch['unsup_teacher'], batch['unsup_student'])
        assert all(torch.equal(value, state[name]) for name, value in model.cls_filter.state_dict().items())
        model.train_step(batch)
        assert not all(torch.equal(value, state[name]) for name, value in model.cls_filter.state_dict().items())
        if kind == 'RankThresholdFilter':
            assert model.cls_filter.boxes.tolist() == [1, 0, 1] and model.cls_filter.images.tolist() == [1, 2]

    def test_a_resumed_mean_teacher_has_its_thresholds(self, detector_cfg, make_batch, kind):
        def build():
            torch.manual_seed(0)
            return MeanTeacher(dense(detector_cfg, 'FCOS'), dict(pseudo_filter=dict(type=kind))).train()

        model, batch = build(), make_batch()
        log = model.train_step(batch)['log_vars']
        assert 0 <= log['pseudo_score_thr'] <= 1
        model.train_step(batch)
        other = build()
        other.load_state_dict(model.state_dict(), strict=True)
        assert torch.equal(other.pseudo_filter.thresholds(), model.pseudo_filter.thresholds())
        assert list(build().train_step(dict(sup=batch['sup']))['log_vars']) == list(log)
        build().load_state_dict(model.student.state_dict(), strict=True)  # of a plain detector


def test_a_floor_under_the_candidates_is_refused(make_model):
    with pytest.raises(ValueError, match=r'RankThresholdFilter\(floor=0.3\) never sees a score under candidate'):
        make_model(cls_filter=dict(type='RankThresholdFilter'), candidate_score_thr=0.5)
