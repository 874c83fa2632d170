"""The sentence: each verdict, each cause, from made-up figures."""

from dataclasses import replace

import pytest

from ssod.apis.comparison.reasons import RULES, Reasons, causes, mean_reasons, sentence
from ssod.core.task import TASKS

BOXES = TASKS['detection'].measures
WRONG_AT_07 = {'0.7': dict(precision=0.5, per_image=4)}
FEW_AT_09 = {'0.9': dict(precision=1, per_image=0.3)}
# A run without any fault.
GOOD = Reasons(
    labeled_images=52,
    validation_images=127,
    labels_per_image=5.2,
    threshold=0.9,
    unlabeled_share=0.7,
    pseudo_per_image=3.0,
    pseudo_per_image_at_start=1.0,
    precision=0.9,
    recall=0.6,
    by_threshold={
        '0.5': dict(precision=0.5, recall=0.9, per_image=9.0),
        '0.6': dict(precision=0.72, recall=0.8, per_image=6.0),
        '0.7': dict(precision=0.8, recall=0.7, per_image=4.0),
        '0.9': dict(precision=0.9, recall=0.6, per_image=3.0),
        '0.95': dict(precision=0.95, recall=0.4, per_image=2.0),
    },
    by_class=dict(cat=dict(precision=0.9, recall=0.7), dog=dict(precision=0.8, recall=0.4)),
    student=40.0,
    teacher=40.5,
    train=60.0,
    validation=40.0,
    baseline_train=70.0,
    baseline_validation=38.0,
)
FEW = 'the teacher finds 0.3 boxes per image, and labels have 5.2 boxes per image; '
CASES = {
    'untrained': (
        dict(baseline_train=3.21),
        'the baseline is at 3.2 even on the labeled images; train both longer',
    ),
    'unused': (dict(unlabeled_share=0.0), 'the unlabeled images were never used; train longer, or shorten the burn-in'),
    'late': (
        dict(unlabeled_share=0.1),
        'the unlabeled images were used in the last 10 % of the iterations alone; train longer, or shorten the burn-in',
    ),
    'wrong, a higher threshold': (
        dict(precision=0.41, threshold=0.6, by_threshold={**GOOD.by_threshold, **WRONG_AT_07}),
        'precision of pseudo boxes 0.41 at 0.6; raise the threshold to 0.9 or label 50 more images',
    ),
    'wrong, none is higher': (
        dict(precision=0.41, threshold=0.95),
        'precision of pseudo boxes 0.41 at 0.95; label 50 more images',
    ),
    'few, a lower threshold': (
        dict(pseudo_per_image=0.3, by_threshold={**GOOD.by_threshold, **FEW_AT_09}),
        f'{FEW}lower the threshold to 0.7 or label 50 more images',
    ),
    'few, the next threshold brings too little': (
        dict(pseudo_per_image=0.3),
        f'{FEW}lower the threshold to 0.6 or label 50 more images',
    ),
    'few, no threshold is right': (
        dict(pseudo_per_image=0.3, by_threshold={'0.5': dict(precision=0.4, per_image=9.0)}, labeled_images=3),
        f'{FEW}label 10 more images',
    ),
    'a class': (
        dict(by_class={**GOOD.by_class, 'cow': dict(precision=None, recall=0.02)}),
        'the teacher finds 2 % of cow, 60 % of all; label more of cow',
    ),
    'unsettled': (
        dict(student=38.4),
        'the student is 2.1 points behind its own average; train longer, or lower the learning rate earlier',
    ),
    'nothing left': (
        dict(recall=0.83, by_class=dict(cat=dict(recall=0.8), dog=dict(recall=0.81))),
        'the teacher finds 83 % of the boxes at precision 0.90: the labels teach nearly all there is; label the images '
        'on which it fails',
    ),
    'by heart': (
        dict(train=81.0),
        'the model knows the labeled images by heart (81 on the labeled images, 40 on the validation images); '
        'label 50 more images or train shorter',
    ),
}  # fmt: skip


@pytest.mark.parametrize('changes, clause', CASES.values(), ids=CASES)
def test_each_cause(changes, clause):
    reasons = replace(GOOD, **changes)
    assert causes(reasons, BOXES) == [clause]
    said = sentence('hurts', -2.1, (-3.0, -1.1), reasons, BOXES, 1)
    assert said == f'worse by 2.1 mAP (-3.0 to -1.1): {clause}'
    assert (
        sentence('no_difference', 0.3, (-0.4, 1.0), reasons, BOXES, 1) == f'no difference yet (-0.4 to 1.0): {clause}'
    )


def test_one_class_makes_most_of_what_is_found():
    most = replace(GOOD, recall=0.9, by_class=dict(road=dict(recall=0.95), bike=dict(recall=0.5)))
    assert causes(most, BOXES) == []


def test_without_a_cause():
    assert causes(GOOD, BOXES) == []
    start = 'no difference yet (-0.4 to 1.0): 127 validation images and'
    said = sentence('no_difference', 0.3, (-0.4, 1.0), GOOD, BOXES, 1)
    assert said == f'{start} 1 seed tell no less; add seeds or validation images'
    said = sentence('no_difference', 0.3, (-0.4, 1.0), GOOD, BOXES, 3)
    assert said == f'{start} 3 seeds tell no less; add validation images'
    assert 'these figures show no cause' in sentence('hurts', -2.1, (-3.0, -1.1), GOOD, BOXES, 1)


def test_a_gain_needs_no_cause():
    worst = replace(GOOD, precision=0.1, unlabeled_share=0.0)
    assert sentence('helps', 3.14, (1.9, 4.2), worst, BOXES, 1) == '+3.1 mAP (1.9 to 4.2): the unlabeled images help'
    said = sentence('helps', 3.14, (1.9, 4.2), worst, BOXES, 1, label_once=1.96)
    assert said.endswith('the unlabeled images help; labeling them once gives +2.0')
    said = sentence('helps', 3.14, (1.9, 4.2), worst, BOXES, 1, label_once=3.2)
    assert said.endswith('labeling them once gives +3.2, as much as going on doing it')


def test_the_most_telling_cause_comes_first():
    everything = replace(GOOD, unlabeled_share=0.1, precision=0.4, pseudo_per_image=0.1, student=30.0, train=90.0)
    assert [clause.split(';')[0][:24] for clause in causes(everything, BOXES)] == [
        'the unlabeled images wer', 'precision of pseudo boxe', 'the teacher finds 0.1 bo', 'the student is 10.5 poin',
        'the model knows the labe',
    ]  # fmt: skip


def test_figures_that_are_not_known_explain_nothing():
    unknown = Reasons(50, 100, 5.0, 0.9, 0.7)
    assert causes(unknown, BOXES) == [] and len(RULES) == 8


def test_means_over_seeds():
    other = replace(
        GOOD, precision=None, student=30.0, by_class=dict(GOOD.by_class, dog=dict(precision=None, recall=0.2))
    )
    mean = mean_reasons([GOOD, other])
    assert (mean.precision, mean.student, mean.threshold) == (0.9, 35.0, 0.9)
    assert mean.by_class['dog'] == dict(precision=0.8, recall=pytest.approx(0.3))
    assert mean_reasons([replace(GOOD, precision=None)]).precision is None
