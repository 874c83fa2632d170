"""The page in a real browser: curves there, sorting works, nothing is asked for, nothing that a file says is run."""

import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import opened

from ssod.apis import InputError
from ssod.apis.report import read_run, report_at_end, write_report
from ssod.apis.report.record import write_picture

EVIL = '<img src=x onerror=alert(1)>'


def examination(names, curves=True):
    """Of two classes, 5 and 12 objects, and of one without any."""
    curve = dict(precision=[0.5] * 98 + [None], recall=[0.5] * 98 + [0.0])
    return dict(
        iteration=20, model='teacher', checkpoint='best.pth',
        pictures=[dict(file='image_0.jpg', image=f'{EVIL}.jpg', score=0.25)],
        label='mAP', classes=names, class_scores=[0.25, 0.5, None], class_counts=[5, 12, 0],
        curves=[curve] * 3 if curves else [], confusion_thr=0.4 if curves else None,
        confusion=[[3, 1, 0, 1], [0, 12, 0, 0], [0] * 4, [2, 0, 0, 0]] if curves else [[3, 2, 0], [0, 12, 0], [0] * 3],
        image_score='F1', images=['a.jpg'], image_scores=[0.25],
    )  # fmt: skip


@pytest.fixture
def run_dir(tmp_path):
    """``run_dir(**files)``: a work dir with a log and what else is given, as JSON."""

    def make(**files) -> Path:
        folder = tmp_path / 'seed0'
        folder.mkdir(exist_ok=True)
        entry = dict(mode='train', lr=0.01, sup_loss_cls=0.5, unsup_loss_cls=0.25, num_pseudo_cls=1.5, ema_momentum=0.9)
        lines = [dict(entry, iter=i, loss=1.0, time=0.5, data_time=0.1, **{f'{EVIL}_loss': 1}) for i in (10, 20)]
        lines += [dict(mode='val', iter=i, student_bbox_mAP=0.1, teacher_bbox_mAP=i / 100) for i in (10, 20)]
        (folder / '1.log.json').write_text('\n'.join(map(json.dumps, lines)))
        for name, content in files.items():
            path = folder / f'{name.replace("__", "/")}.json'
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        return folder

    return make


@pytest.fixture
def full(run_dir):
    """A work dir with everything, whose files say evil things."""
    line = dict(model='teacher', threshold=0.9, per_image=1.0, precision=0.75, recall=0.5, by_class={})
    best = dict(metric='bbox_mAP', value=0.2, iteration=20, model='teacher', checkpoint='best.pth')
    start = dict(config=f'{EVIL}.py', base='base.py', changes=[['lr', '0.1', f"'{EVIL}'"], ['a', None, '2']], seed=3)
    folder = run_dir(
        best=best,
        run=dict(start, environment=dict(torch=EVIL)),
        verdict=dict(sentence=f'It helps {EVIL} </script>', verdict='helps', baseline={'0': 1.0}, method={'0': 2.0}),
        evaluation__history=[dict(line, iteration=i) for i in (10, 20)],
        evaluation__examination=examination([EVIL, 'cell', '</script><script>alert(2)</script>']),
    )
    write_picture(np.full((100, 200, 3), 90, np.uint8), folder / 'evaluation/image_0.jpg')
    return folder


@pytest.mark.parametrize('interactive', [True, False])
def test_a_browser_shows_it(full, interactive):
    if interactive:
        pytest.importorskip('plotly')
    with opened(write_report(full, interactive=interactive)) as (page, troubles):
        page.wait_for_function('document.querySelectorAll(".chart svg path").length > 40')
        drawn = page.eval_on_selector_all('.chart', 'places => places.map(p => p.querySelectorAll("svg path").length)')
        assert len(drawn) == 12 and min(drawn) > 2
        heights = page.eval_on_selector_all('.chart', 'places => places.map(p => p.clientHeight)')
        assert min(heights) > 150
        assert EVIL in page.text_content('#verdict') and page.locator('#images img').count() == 1
        assert page.locator('img[src=x]').count() == 0
        column = 'rows => rows.map(row => row.cells[1].textContent)'
        assert page.eval_on_selector_all('#per-class tbody tr', column) == ['5', '12', '0']
        page.click('#per-class th:nth-child(2)')
        assert page.eval_on_selector_all('#per-class tbody tr', column) == ['12', '5', '0']
        page.click('#per-class th:nth-child(2)')
        assert page.eval_on_selector_all('#per-class tbody tr', column) == ['0', '5', '12']
        page.click('#per-class th:nth-child(3)')  # the class without a score is last
        assert page.eval_on_selector_all('#per-class tbody tr', column) == ['12', '5', '0']
        width = page.evaluate('[document.documentElement.scrollWidth, window.innerWidth]')
        assert width[0] <= width[1]
        assert troubles == []


class Ids(HTMLParser):
    """Every id of a page, and whether a tag has an attribute that would run or load something."""

    def __init__(self):
        super().__init__()
        self.ids, self.loads = [], []

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            self.ids += [value] if key == 'id' else []
            if key.startswith('on') or (key in ('src', 'href') and not value.startswith(('data:', '#'))):
                self.loads.append((tag, key, value))


def test_ids_are_unique_and_nothing_is_loaded(full):
    page = Ids()
    page.feed(write_report(full, interactive=False).read_text())
    assert len(page.ids) == len(set(page.ids)) and {'per-class', 'confusion-matrix', 'verdict'} <= set(page.ids)
    assert page.loads == []


def test_what_a_run_does_not_have_is_said(run_dir):
    text = write_report(run_dir(), predictions=False, interactive=False).read_text()
    for said in (
        'This run was not compared with its supervised baseline',
        'The run keeps no best checkpoint',
        'was not kept (no evaluation, or evaluation.record=False)',
        'There is no record of pseudo labels beside true ones',
        'has not noted what its config inherits from',
        'has not noted its machine',
    ):
        assert said in text
    assert 'class="chart' in text and '<img' not in text


def test_label_maps_have_no_thresholds(run_dir):
    files = dict(evaluation__examination=examination(['sky', 'road', 'car'], curves=False))
    text = write_report(run_dir(**files), interactive=False).read_text()
    assert 'A pixel of a label map has a class and no score' in text and 'best threshold' not in text
    assert 'Precision over recall' not in text and 'true pixels' in text


def test_many_classes_have_a_list_of_mistakes(run_dir):
    names, size = [f'class {i}' for i in range(40)], 40
    table = np.zeros((size, size), int)
    table[3, 7], table[2, 2] = 9, 50
    content = dict(
        examination([]), classes=names, class_scores=[0.5] * size, class_counts=[1] * size, curves=[],
        confusion_thr=None, confusion=table.tolist(),
    )  # fmt: skip
    text = write_report(run_dir(evaluation__examination=content), interactive=False).read_text()
    row = '<tr><td>class 3</td><td>class 7</td><td class=number data-value="9">9</td></tr>'
    assert 'id=mistakes' in text and row in text and 'confusion-matrix' not in text


def test_refusals_and_a_report_that_fails_is_no_failure(run_dir, tmp_path, fake_runner):
    with pytest.raises(InputError, match='no work dir'):
        read_run(tmp_path / 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='holds no log of a training'):
        read_run(tmp_path / 'empty')
    (tmp_path / 'method').mkdir()
    run_dir().rename(tmp_path / 'method/seed0')
    with pytest.raises(InputError, match='give one of its runs, .*method/seed0'):
        read_run(tmp_path)
    folder = run_dir(best=dict(metric='bbox_mAP'))
    with pytest.raises(InputError, match='is damaged'):
        write_report(folder)
    runner = fake_runner()
    report_at_end(folder, runner.logger)
    assert 'no report: InputError' in runner.messages[0] and 'ssod report' in runner.messages[0]


def test_a_verdict_of_the_comparison_that_a_run_is_part_of(run_dir, tmp_path):
    folder = run_dir()
    (tmp_path / 'out/method').mkdir(parents=True)
    folder = folder.rename(tmp_path / 'out/method/seed0')
    (tmp_path / 'out/verdict.json').write_text(json.dumps(dict(sentence='They help.', verdict='helps')))
    assert read_run(folder).verdict['sentence'] == 'They help.'


def test_pictures_are_small(tmp_path):
    write_picture(np.zeros((2000, 4000, 3), np.uint8), tmp_path / 'a.jpg')
    assert cv2.imread(str(tmp_path / 'a.jpg')).shape == (480, 960, 3)
    write_picture(np.zeros((50, 100, 3), np.uint8), tmp_path / 'b.jpg')
    assert cv2.imread(str(tmp_path / 'b.jpg')).shape == (50, 100, 3)
