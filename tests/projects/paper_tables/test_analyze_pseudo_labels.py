import csv
import json
from collections import Counter

import mmcv
import numpy as np
import pytest
import torch
from matching import naive
from runs import BASELINE, SOFT_TEACHER, call, refusal, shapes, small, taught, weights

from projects.paper_tables.quality import binned_ious, correlation, correlations
from ssod.detection.quality import Candidates, Matches

SCRIPT = 'tools/analyze_pseudo_labels.py'
CAT = 3


def candidates(*rows):
    """Rows of image, category, x1, y1, x2, y2, score; the variance is a tenth of what the score lacks to 1."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 7)
    ids = table[:, :2].astype(int)
    return Candidates(*ids.T, table[:, 2:6], table[:, 6], (1 - table[:, 6]) / 10)


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
