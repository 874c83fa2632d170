"""Pseudo boxes against true boxes: matches, precision and recall."""

import numpy as np
from matching import naive

from ssod.detection.quality import Candidates, match, precision_recall

CAT, DOG = 3, 7


def true(image, category, x, y, w, h, **rest):
    return dict(image_id=image, category_id=category, bbox=[x, y, w, h], **rest)


def candidates(*rows):
    """Rows of image, category, x1, y1, x2, y2, score."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 7)
    return Candidates(*table[:, :2].astype(int).T, table[:, 2:6], table[:, 6])


# Image 1 has two cats, a dog and a crowd of cats; image 2 has nothing. An id of 0 must not mean "no match".
TRUE = [
    true(1, CAT, 0, 0, 10, 10, id=0),
    true(1, CAT, 20, 0, 10, 10),
    true(1, DOG, 40, 0, 10, 10, iscrowd=0, area=1),
    true(1, CAT, 0, 50, 40, 40, iscrowd=1),
]
FOUND = [
    (1, DOG, 40, 0, 50, 4, 0.3),  # too small: IoU 0.4
    (1, CAT, 0, 0, 10, 10, 0.9),  # exact
    (1, CAT, 0, 0, 10, 8, 0.8),  # again the first cat, IoU 0.8
    (1, CAT, 20, 0, 30, 6, 0.7),  # the second cat, IoU 0.6
    (1, CAT, 40, 0, 50, 10, 0.6),  # a dog
    (1, CAT, 0, 50, 10, 60, 0.55),  # within the crowd
    (1, CAT, 5, 55, 15, 65, 0.5),  # within the crowd too
    (1, CAT, 35, 50, 45, 60, 0.45),  # half within: the last that counts as within
    (2, CAT, 0, 0, 10, 10, 0.4),  # nothing there
]


def test_hand_worked_matches():
    matches = match(candidates(*FOUND), TRUE)
    assert matches.num_true == 3
    assert matches.is_tp.tolist() == [False, True, False, True, False, False, False, False, False]
    assert matches.is_ignored.tolist() == [False] * 5 + [True, True, True, False]
    np.testing.assert_allclose(matches.ious, [0.4, 1, 0.8, 0.6, 0, 0, 0, 0, 0], rtol=1e-6)
    assert match(candidates(*FOUND), TRUE, iou_thr=0.39).is_tp.tolist()[0]
    assert match(candidates(*FOUND), TRUE, iou_thr=0.61).is_tp.sum() == 1


def test_hand_worked_precision_and_recall():
    found = candidates(*FOUND)
    thresholds = [0.2, 0.35, 0.42, 0.58, 0.65, 0.75, 0.8, 0.85, 0.9]
    rows = precision_recall(found.scores, match(found, TRUE), thresholds)
    assert [row['threshold'] for row in rows] == thresholds
    # Those on the crowd are in no count; a box of exactly the threshold is out, as in ScoreFilter.
    assert [row['number'] for row in rows] == [6, 5, 4, 4, 3, 2, 1, 1, 0]
    precision = [2 / 6, 2 / 5, 2 / 4, 2 / 4, 2 / 3, 1 / 2, 1, 1, np.nan]
    np.testing.assert_allclose([row['precision'] for row in rows], precision)
    np.testing.assert_allclose([row['recall'] for row in rows], [2 / 3] * 5 + [1 / 3] * 3 + [0])


def test_one_true_box_is_right_once_and_a_second_candidate_takes_the_next_best():
    overlapping = [true(1, CAT, 0, 0, 10, 10), true(1, CAT, 2, 0, 10, 10)]
    found = candidates((1, CAT, 0, 0, 11, 10, 0.8), (1, CAT, 0, 0, 10, 10, 0.9), (1, CAT, 0, 0, 10, 10, 0.7))
    assert match(found, overlapping).is_tp.tolist() == [True, True, False]


def test_no_candidates_no_true_boxes_neither():
    nothing = match(candidates(), TRUE)
    assert nothing.ious.shape == nothing.is_tp.shape == nothing.is_ignored.shape == (0,)
    (row,) = precision_recall(np.zeros(0), nothing, [0.5])
    assert np.isnan(row['precision']) and row['recall'] == 0 and row['number'] == 0

    untrue = match(candidates(*FOUND), [])
    assert not untrue.is_tp.any() and not untrue.is_ignored.any() and not untrue.ious.any()
    (row,) = precision_recall(candidates(*FOUND).scores, untrue, [0.5])
    assert row['precision'] == 0 and np.isnan(row['recall']) and row['number'] == 5

    assert match(candidates(), []).num_true == 0


def test_matching_equals_a_naive_loop():
    rng = np.random.default_rng(0)
    annotations, rows = [], []
    for _ in range(60):
        image, category = rng.integers(1, 4), rng.choice([CAT, DOG])
        box = [*rng.uniform(0, 60, 2), *rng.uniform(10, 40, 2)]
        annotations.append(true(int(image), int(category), *box, iscrowd=int(rng.random() < 0.15)))
        for _ in range(3):
            near = np.array(box) + rng.normal(0, 4, 4)
            rows.append((int(image), int(rng.choice([category, CAT])), near, np.float32(rng.random())))
    found = Candidates(
        *(np.array([row[k] for row in rows]) for k in (0, 1)),
        np.array([[x, y, x + w, y + h] for _, _, (x, y, w, h), _ in rows]),
        np.array([row[3] for row in rows]),
    )
    matches = match(found, annotations)
    ious, is_tp, is_ignored = zip(*naive(rows, annotations), strict=True)
    np.testing.assert_allclose(matches.ious, ious, atol=1e-9)
    assert matches.is_tp.tolist() == list(is_tp) and 10 < sum(is_tp) < 60
    assert matches.is_ignored.tolist() == list(is_ignored) and sum(is_ignored) > 5
