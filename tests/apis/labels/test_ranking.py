"""Which images come first, and which thresholds count."""

import json

import pytest

from ssod.apis.labels.ranking import places_of, rank
from ssod.apis.labels.thresholds import thresholds_of
from ssod.core.errors import InputError
from ssod.core.finding import Finding
from ssod.data.labels import LabelObject
from ssod.detection.finding import disagreement


def found(disagreed, variance, *names):
    return Finding([LabelObject(name, (0, 0, 9, 9), 0.9) for name in names], None, dict(
        disagreement=disagreed, variance=variance))  # fmt: skip


def test_hand_worked_order_and_reasons():
    """Of four images the shares of lower values: disagreement 3/4, 0, 1/4, 1/4; variance 0 ...; rarity."""
    findings = [found(0.9, 0.0, 'cell'), found(0.0, 0.0, 'cell'), found(0.1, 0.0, 'dust'), found(0.1, 0.02)]
    ranked = rank(['a', 'b', 'c', 'd'], findings, dict(cell=9, dust=1))
    by_name = {one.name: one for one in ranked}
    assert by_name['a'].figures == dict(disagreement=0.9, variance=0.0, rarity=0.1)
    assert by_name['a'].priority == pytest.approx((0.75 + 0 + 0.25) / 3)
    assert by_name['c'].priority == pytest.approx((0.25 + 0 + 0.75) / 3)
    assert by_name['d'].priority == pytest.approx((0.25 + 0.75 + 0) / 3)
    assert [one.name for one in ranked] == ['a', 'c', 'd', 'b']
    assert by_name['a'].reasons == ('student and teacher disagree (0.90)',)
    assert by_name['c'].reasons == ('rare class: dust (1 labeled or found)',)
    assert by_name['d'].reasons == ('boxes move under jitter (0.020)',)
    assert by_name['b'].reasons == ()
    assert places_of([]).tolist() == [] and rank([], [], {}) == []


def test_disagreement_is_one_less_f1():
    box = LabelObject('cell', (0, 0, 10, 10), 0.9)
    near, other = LabelObject('cell', (0, 0, 10, 9), 0.5), LabelObject('dust', (0, 0, 10, 10), 0.5)
    assert disagreement([], []) == 0 and disagreement([box], []) == 1
    assert disagreement([box], [near]) == 0 and disagreement([box], [other]) == 1
    assert disagreement([box, other], [near]) == pytest.approx(1 / 3)


def test_thresholds_of_the_report_and_others(tmp_path):
    checkpoint = str(tmp_path / 'iter_2.pth')
    assert thresholds_of(['a', 'b'], checkpoint, 0.3, None)[0] == dict(a=0.3, b=0.3)
    assert thresholds_of(['a', 'b'], checkpoint, None, None)[0] == dict(a=0.5, b=0.5)
    (tmp_path / 'thresholds.json').write_text(json.dumps(dict(a=0.25, b=1, more=0.1)))
    limits, said = thresholds_of(['a', 'b'], checkpoint, None, None)
    assert limits == dict(a=0.25, b=1.0) and 'thresholds.json' in said
    for content, sentence in ((dict(a=0.2), "no threshold for 'b'"), (dict(a=0.2, b='x'), "threshold 'x' for 'b'")):
        (tmp_path / 'own.json').write_text(json.dumps(content))
        with pytest.raises(InputError, match=sentence):
            thresholds_of(['a', 'b'], checkpoint, None, tmp_path / 'own.json')
    with pytest.raises(InputError, match='no thresholds .*nowhere.json'):
        thresholds_of(['a'], checkpoint, None, tmp_path / 'nowhere.json')
