"""The arithmetic and the files of an ablation's outcome."""

import csv
from pathlib import Path

import mmcv
import pytest

from projects.paper_tables.tables import TABLES, Row, Table, all_rows, markdown, summarize, write_report

CONFIGS = Path(__file__).parents[3] / 'configs/ablations'
ROWS = (Row('none', 'a', 31.2), Row('soft', 'b', 33.6), Row('other', 'c'))
SCORES = {'none': {0: 30.0, 1: 32.0}, 'soft': {0: 33.0, 1: 33.0, 2: 36.0}}


def test_every_row_has_its_config_and_every_config_its_row():
    assert {row.config for row in all_rows().values()} == {path.stem for path in CONFIGS.glob('*.py')}
    assert {number: len(table.rows) for number, table in TABLES.items()} == {6: 3, 7: 3, 8: 6, 9: 6, 10: 6, 11: 3}
    swept = {row.name: row for number in (9, 10, 11) for row in TABLES[number].rows}
    assert all(row.config == 'soft_teacher' for row in swept.values())
    assert swept['score_thr_075'].overrides == {
        'model.semi_train_cfg.rpn_filter.thr': 0.75,
        'model.semi_train_cfg.cls_filter.thr': 0.75,
    }
    assert [row.name for row in TABLES[10].rows] == [f'variance_thr_0{n}' for n in ('01', '02', '03', '04', '06', '10')]
    assert swept['variance_thr_010'].overrides == {'model.semi_train_cfg.reg_filter.thr': 0.1}
    assert [(row.label, row.name) for row in TABLES[11].rows] == [(f'{n}', f'num_jitters_{n:02d}') for n in (5, 10, 15)]
    assert swept['num_jitters_05'].overrides == {'model.semi_train_cfg.reg_filter.num_jitters': 5}


def test_tables_7_and_8_share_the_papers_figures():
    figures = {}
    for table in TABLES.values():
        for row in table.rows:
            if row.paper is not None:
                assert figures.setdefault(row.name, row.paper) == row.paper
    assert figures == {'end_to_end_ema': 31.2, 'soft_weights': 33.6, 'soft_teacher': 34.2}


def test_summary_by_hand():
    none, soft, other = summarize(ROWS, SCORES, [0, 1, 2])
    # 30, 32: deviations of 1 and 1, over 2 - 1. 33, 33, 36: mean 34, deviations 1, 1, 2: sqrt(6 / 2).
    assert (none['mean'], none['gain'], none['seed 2']) == (31.0, 0.0, None)
    assert none['std'] == pytest.approx(2**0.5) and soft['std'] == pytest.approx(3**0.5)
    # Over the seeds that both have: 33 - 30 and 33 - 32.
    assert (soft['mean'], soft['gain']) == (34.0, 2.0)
    assert soft['paper gain'] == pytest.approx(2.4) and (other['paper'], other['paper gain']) == (None, None)
    assert [other[key] for key in ('seed 0', 'mean', 'std', 'gain')] == [None] * 4


def test_one_seed_has_no_spread_and_without_the_first_row_there_is_no_difference():
    records = summarize(ROWS, {'soft': {0: 33.0}}, [0])
    assert (records[1]['mean'], records[1]['std'], records[1]['gain']) == (33.0, None, None)
    unknown = summarize((Row('a', 'a'), Row('b', 'b', 31.2)), {}, [0])
    assert (unknown[1]['paper'], unknown[1]['paper gain']) == (31.2, None)


def test_markdown():
    lines = markdown('student mAP', summarize(ROWS, SCORES, [0, 1, 2])).splitlines()
    assert lines[0].startswith('| student mAP | seed 0 | seed 1 | seed 2 | mean ± std |')
    assert lines[2] == '| none | 30.0 | 32.0 | - | 31.0 ± 1.4 | +0.0 | 31.2 | +0.0 |'
    assert lines[3] == '| soft | 33.0 | 33.0 | 36.0 | 34.0 ± 1.7 | +2.0 | 33.6 | +2.4 |'
    assert lines[4] == '| other | - | - | - | - | - | - | - |'


@pytest.mark.parametrize('scores', [SCORES, {}], ids=['some', 'none'])
def test_report_files(tmp_path, monkeypatch, scores):
    monkeypatch.setitem(TABLES, 7, Table('parts', ROWS, 'A note.'))
    text = write_report(7, 'demo', [0, 1], {'student': scores, 'teacher': {}}, ['other (seed 0)'], tmp_path / 'new')
    assert text.startswith('## Table 7, parts: demo\n\n| student mAP |') and '\n\n| teacher mAP |' in text
    assert text.endswith('\n\nA note.\n\nMissing: other (seed 0).')
    assert (tmp_path / 'new/table7.md').read_text() == text + '\n'
    rows = list(csv.DictReader((tmp_path / 'new/table7.csv').open()))
    assert [(row['model'], row['row']) for row in rows[:4]] == [
        ('student', 'none'),
        ('student', 'soft'),
        ('student', 'other'),
        ('teacher', 'none'),
    ]
    assert (rows[0]['mean'], rows[0]['paper'], rows[5]['mean']) == ('31.0' if scores else '', '31.2', '')
    # Two panels, ours and the paper's; one where no figure of the paper is known.
    assert mmcv.imread(str(tmp_path / 'new/table7.png')).shape == (450, 1200, 3)
    write_report(9, 'demo', [0], {'student': {}, 'teacher': {}}, [], tmp_path)
    assert mmcv.imread(str(tmp_path / 'table9.png')).shape == (450, 600, 3)
