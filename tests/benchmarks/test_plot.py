"""Curves from the benchmark's files."""

import pytest

from benchmarks.plot import curves, draw
from ssod.apis import InputError


def case(changes, **medians):
    results = {who: dict(wall=dict(median=m, min=m - 0.5, max=m + 1.0)) for who, m in medians.items()}
    return dict(changes=changes, results=results)


def test_a_panel_per_file_a_line_per_contestant_and_bars_from_the_least_to_the_most():
    sizes = dict(
        cases=[case(dict(size=[100, 200]), ours=2.0, peer=3.0), case(dict(size=[200, 400]), ours=6.0, peer=9.0)]
    )
    workers = dict(cases=[case(dict(workers=0), ours=4.0), case(dict(workers=2), ours=1.0)])
    figure = draw([sizes, workers])
    first, second = figure.axes
    assert first.get_xlabel() == 'megapixels per image' and second.get_xlabel() == 'loader workers'
    assert [line.get_label() for line in first.containers] == ['ours', 'peer']
    line, _, (bars,) = first.containers[1].lines
    assert line.get_xydata().tolist() == [[0.02, 3.0], [0.08, 9.0]]
    assert bars.get_segments()[0][:, 1].tolist() == [2.5, 4.0]


def test_what_was_varied():
    name, values, seconds = curves([case(dict(candidates=8), ours=2.0), case(dict(candidates=32), ours=3.0)])
    assert (name, values) == ('candidates', [8, 32])
    assert [wall['median'] for wall in seconds['ours']] == [2.0, 3.0]


def test_a_file_of_one_case_has_no_curve():
    with pytest.raises(InputError, match='--vary'):
        curves([case({}, ours=2.0)])
