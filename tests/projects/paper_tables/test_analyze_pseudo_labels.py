import csv
import json
from collections import Counter, defaultdict

import mmcv
import numpy as np
import pytest
import torch
from runs import BASELINE, SOFT_TEACHER, call, refusal, shapes, small, taught, weights

from projects.paper_tables.quality import (
    Candidates,
    Matches,
    binned_ious,
    correlation,
    correlations,
    match,
    precision_recall,
)

SCRIPT = 'tools/analyze_pseudo_labels.py'
CAT, DOG = 3, 7


def true(image, category, x, y, w, h, **rest):
    return dict(image_id=image, category_id=category, bbox=[x, y, w, h], **rest)


def candidates(*rows):
    """Rows of image, category, x1, y1, x2, y2, score; the variance is a tenth of what the score lacks to 1."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 7)
    ids = table[:, :2].astype(int)
    return Candidates(*ids.T, table[:, 2:6], table[:, 6], (1 - table[:, 6]) / 10)


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


def iou(box, other, over_own_area=False):
    """Of two boxes in xywh, by hand."""
    sides = [min(box[k] + box[k + 2], other[k] + other[k + 2]) - max(box[k], other[k]) for k in (0, 1)]
    inter = max(sides[0], 0) * max(sides[1], 0)
    own = box[2] * box[3]
    return inter / (own if over_own_area else own + other[2] * other[3] - inter)


def naive(rows, annotations, thr=0.5):
    """(iou, is_tp, is_ignored) of rows of (image, category, xywh, score), by a loop over all pairs."""
    free = defaultdict(list)
    for box in annotations:
        free[box['image_id'], box['category_id']].append(box)
    results = [None] * len(rows)
    for i in sorted(range(len(rows)), key=lambda i: -rows[i][-1]):
        image, category, box, _ = rows[i]
        same = [other for other in annotations if (other['image_id'], other['category_id']) == (image, category)]
        nearest = max((iou(box, other['bbox']) for other in same if not other.get('iscrowd')), default=0)
        left = [other for other in free[image, category] if not other.get('iscrowd')]
        best = max(left, key=lambda other: iou(box, other['bbox']), default=None)
        is_tp = best is not None and iou(box, best['bbox']) >= thr
        if is_tp:
            free[image, category].remove(best)
        crowds = [other['bbox'] for other in same if other.get('iscrowd')]
        is_ignored = not is_tp and any(iou(box, crowd, over_own_area=True) >= thr for crowd in crowds)
        results[i] = nearest, is_tp, is_ignored
    return results


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
        np.zeros(len(rows)),
    )
    matches = match(found, annotations)
    ious, is_tp, is_ignored = zip(*naive(rows, annotations), strict=True)
    np.testing.assert_allclose(matches.ious, ious, atol=1e-9)
    assert matches.is_tp.tolist() == list(is_tp) and 10 < sum(is_tp) < 60
    assert matches.is_ignored.tolist() == list(is_ignored) and sum(is_ignored) > 5


def test_bins_hold_their_low_edge_and_the_last_what_lies_above():
    rows = binned_ious(np.array([0.0, 0.1, 0.19, 0.4, 7]), np.array([0.2, 0.4, 0.8, 0.5, 0.7]), [0, 0.1, 0.2, 0.3, 0.5])
    assert [row['number'] for row in rows] == [1, 2, 0, 2]
    assert [(row['low'], row['high']) for row in rows] == [(0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.5)]
    np.testing.assert_allclose([row['mean'] for row in rows], [0.2, 0.6, np.nan, 0.6])
    np.testing.assert_allclose([row['median'] for row in rows], [0.2, 0.6, np.nan, 0.6])
    np.testing.assert_allclose([row['q25'] for row in rows], [0.2, 0.5, np.nan, 0.55])
    np.testing.assert_allclose([row['q75'] for row in rows], [0.2, 0.7, np.nan, 0.65])


def test_correlations_by_hand_over_those_above_the_score_without_crowds():
    # Pearson: sum(dx dy) / sqrt(sum(dx^2) sum(dy^2)), dx = (-1, 0, 1), dy = (-4, -1, 5) / 3.
    measured = correlation(np.array([1.0, 2, 3]), np.array([1.0, 2, 4]))
    assert measured == pytest.approx(dict(pearson=3 / np.sqrt(2 * 14 / 3), spearman=1))
    assert all(map(np.isnan, correlation(np.ones(3), np.arange(3.0)).values()))
    assert all(map(np.isnan, correlation(np.zeros(0), np.zeros(0)).values()))

    found = candidates(*((1, CAT, 0, 0, 1, 1, score) for score in (0.2, 0.6, 0.7, 0.8, 0.9)))
    matches = Matches(np.array([1, 0.1, 0.3, 0, 0.5]), np.zeros(5, bool), np.array([0, 0, 0, 1, 0], bool), 1)
    low, high = correlations(found, matches, [0.1, 0.5])
    assert (low['score_thr'], low['number'], high['score_thr'], high['number']) == (0.1, 4, 0.5, 3)
    assert high['score']['spearman'] == pytest.approx(1) and high['variance']['spearman'] == pytest.approx(-1)
    assert low['score']['spearman'] == pytest.approx(-0.2)  # ranks 1 2 3 4 and 4 1 2 3: 1 - 6 * 12 / (4 * 15)


def read(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def analyze(checkpoint, out, *options, score_thr=0.2, **settings):
    call(SCRIPT, SOFT_TEACHER, checkpoint, '--out', out, '--score-thr', score_thr, *options, *options_of(**settings))
    return read(out / 'candidates.csv')


def options_of(**settings):
    return taught(test_pipeline__1__img_scale='(128,128)', **settings)  # images of 96 pixels: boxes must be scaled back


@pytest.fixture(scope='module')
def out(tmp_path_factory, checkpoint):
    """What the tool writes on the teacher."""
    folder = tmp_path_factory.mktemp('analysis')
    analyze(checkpoint, folder)
    return folder


def test_a_real_run_agrees_with_an_independent_recomputation(out):
    rows = read(out / 'candidates.csv')
    columns = 'image class x1 y1 x2 y2 score reg_variance iou is_tp is_ignored'
    assert list(rows[0]) == columns.split()
    val = json.loads((shapes() / 'annotations/instances_val.json').read_text())
    ids = {image['file_name']: image['id'] for image in val['images']}
    categories = {category['name']: category['id'] for category in val['categories']}

    boxes = np.array([[float(row[side]) for side in ('x1', 'y1', 'x2', 'y2')] for row in rows])
    # In pixels of the image: clipped to the view, which a detector trained for 8 iterations fills to its edges.
    assert boxes.min() == 0 and boxes.max() == pytest.approx(96, abs=1e-3)
    scores = np.array([float(row['score']) for row in rows])
    assert scores.min() > 0.2 and all(float(row['reg_variance']) > 0 for row in rows)
    assert max(Counter(row['image'] for row in rows).values()) <= 100  # max_per_img

    named = [
        (ids[row['image']], categories[row['class']], [x1, y1, x2 - x1, y2 - y1], score)
        for row, (x1, y1, x2, y2), score in zip(rows, boxes, scores, strict=True)
    ]
    ious, is_tp, is_ignored = (np.array(column) for column in zip(*naive(named, val['annotations']), strict=True))
    np.testing.assert_allclose([float(row['iou']) for row in rows], ious, atol=1e-5)
    assert [int(row['is_tp']) for row in rows] == is_tp.tolist() and is_tp.any()
    assert not is_ignored.any()

    curve = read(out / 'curve.csv')
    assert [float(row['threshold']) for row in curve] == [k / 100 for k in range(20, 100)]
    for row in curve:
        above = scores > float(row['threshold'])
        assert int(row['number']) == above.sum()
        assert float(row['recall']) == pytest.approx(is_tp[above].sum() / len(val['annotations']))
        precision = is_tp[above].mean() if above.any() else np.nan
        assert float(row['precision']) == pytest.approx(precision, nan_ok=True)

    values = dict(score=scores, variance=np.array([float(row['reg_variance']) for row in rows]))
    summary = json.loads((out / 'summary.json').read_text())
    assert (summary['images'], summary['true_boxes'], summary['candidates']) == (8, len(val['annotations']), len(rows))
    assert [row['score_thr'] for row in summary['correlations']] == [0.2, 0.5]
    for name, value in values.items():
        bins = read(out / f'iou_by_{name}.csv')
        assert sum(int(row['number']) for row in bins) == len(rows)
        for row in bins:
            inside = ious[(value >= float(row['low'])) & (value < float(row['high']))]
            assert int(row['number']) == len(inside)
            assert float(row['mean']) == pytest.approx(inside.mean() if len(inside) else np.nan, nan_ok=True, abs=1e-5)
        assert summary['correlations'][0][name]['pearson'] == pytest.approx(np.corrcoef(value, ious)[0, 1], abs=1e-4)
    for name in ('precision_recall', 'iou_by_score', 'iou_by_variance'):
        assert mmcv.imread(str(out / f'{name}.png')).shape == (600, 750, 3)


def test_the_student_looks_and_half_a_checkpoint_will_do(out, work_dir, tmp_path):
    student = analyze(work_dir / 'iter_8.pth', tmp_path / 'student', '--model', 'student')
    assert student != read(out / 'candidates.csv')
    plain = {name.removeprefix('student.'): w for name, w in weights(work_dir, 8).items() if name.startswith('student')}
    torch.save(dict(state_dict=plain), tmp_path / 'plain.pth')
    assert analyze(tmp_path / 'plain.pth', tmp_path / 'plain') == student


def test_the_seed_changes_the_variance_alone_which_is_measured_without_its_filter_too(out, checkpoint, tmp_path):
    options = dict(model__semi_train_cfg__reg_filter=None)
    rows = analyze(checkpoint, tmp_path, '--seed', 1, **options)
    for row, before in zip(rows, read(out / 'candidates.csv'), strict=True):
        variance, variance_before = float(row.pop('reg_variance')), float(before.pop('reg_variance'))
        assert row == before
        assert variance != variance_before and variance == pytest.approx(variance_before, rel=2)


def test_unlabeled_images_with_the_boxes_of_the_file_they_were_taken_from(checkpoint, tmp_path):
    ann = shapes() / 'annotations'
    split = ['--split', 'unlabeled', '--annotations', ann / 'instances_train.json']
    rows = analyze(checkpoint, tmp_path, *split, score_thr=0.99)  # and no candidate at all
    assert rows == []
    unlabeled = json.loads((ann / 'semi_supervised/instances_train.1@25-unlabeled.json').read_text())
    ids = {image['id'] for image in unlabeled['images']}
    everything = json.loads((ann / 'instances_train.json').read_text())['annotations']
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['images'] == len(ids) == 18 and summary['candidates'] == 0
    assert summary['true_boxes'] == sum(box['image_id'] in ids for box in everything) < len(everything)


def test_refusals(checkpoint, tmp_path, capsys):
    ann = shapes() / 'annotations'
    categories = json.loads((ann / 'instances_train.json').read_text())
    categories['categories'][0]['name'] = 'other'
    (tmp_path / 'other.json').write_text(json.dumps(categories))
    (tmp_path / 'file').write_text('')

    def refused(*options, config=SOFT_TEACHER, weights=checkpoint, out=tmp_path / 'out', settings=()):
        return refusal(SCRIPT, config, weights, '--out', out, *options, *(settings or taught()))

    assert 'faster_rcnn_r18_shapes.py has a FasterRCNN' in refused(config=BASELINE, settings=small())
    assert 'no checkpoint lost.pth' in refused(weights='lost.pth')
    assert 'no config file lost.py' in refused(config='lost.py')
    assert '/nowhere/annotations/instances_val.json does not exist' in refused(settings=taught(data_root='/nowhere/'))
    assert 'has no data.train.labeled' in refused('--split', 'labeled', config=BASELINE, settings=small())
    assert 'data.val is a VOCDataset' in refused(settings=taught(data__val__type='VOCDataset'))
    assert 'holds no true box' in (sentence := refused('--split', 'unlabeled')) and '--annotations' in sentence
    unlabeled = ('--split', 'unlabeled', '--annotations')
    assert 'no annotation file lost.json' in refused(*unlabeled, 'lost.json')
    assert 'lacks images' in refused(*unlabeled, ann / 'instances_val.json')
    assert 'other categories' in refused(*unlabeled, tmp_path / 'other.json')
    assert f'--annotations {tmp_path}/file: ' in refused(*unlabeled, tmp_path / 'file')
    assert 'cannot make the folder' in refused(out=tmp_path / 'file')
    assert not (tmp_path / 'out').exists()
    for option in (['--iou-thr', 0], ['--score-thr', 1]):
        with pytest.raises(SystemExit, match='2'):
            call(SCRIPT, SOFT_TEACHER, checkpoint, '--out', tmp_path, *option)
        assert 'lies in' in capsys.readouterr().err
