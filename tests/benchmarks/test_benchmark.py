"""benchmarks/benchmark.py as a user calls it, on the demo's model."""

import json
import sys
from contextlib import closing

import pytest
from runs import ROOT, SOFT_TEACHER, call, refusal

from benchmarks.rounds import Contestant, spread, summary
from ssod.apis import InputError

SMALL = ['--config', SOFT_TEACHER, '--size', 64, 96, '--threads', 1, '--repeats', 2]


def test_a_step_and_its_parts(tmp_path):
    out, trace = tmp_path / 'step.json', tmp_path / 'trace.json'
    call('benchmarks/benchmark.py', 'step', *SMALL, '--candidates', 3, '--json', out, '--profile', trace)
    (case,) = json.loads(out.read_text())['cases']
    ours = case['results']['ours']
    assert ours['figures']['num_pseudo_candidates'] == pytest.approx(3, abs=0.5)
    assert ours['figures']['num_pseudo_cls'] > 0 and ours['figures']['num_pseudo_reg'] > 0
    parts = {name: seconds['median'] for name, seconds in ours['parts'].items()}
    assert {'teacher', 'sup forward', 'student backbone', 'unsup rpn', 'backward', 'optimizer', 'EMA'} <= set(parts)
    assert {'teacher jitter', 'teacher background', 'unsup RoI head', 'unsup sampling', 'unsup cls loss'} <= set(parts)
    assert sum(parts.values()) == pytest.approx(ours['wall']['median'], rel=0.2)
    assert ours['images_per_second'] == pytest.approx(5 / ours['wall']['median'])
    assert ours['run_memory'] > 2**20
    assert json.loads(trace.read_text())['traceEvents']
    assert 'conv' in case['results']['profile']['table'] and case['results']['profile']['busy'] is None


@pytest.mark.long
def test_the_loader_for_several_numbers_of_workers(tmp_path):
    out = tmp_path / 'loader.json'
    options = '--photo-size 60 80 --batches 2 --vary workers 0 1'.split()
    call('benchmarks/benchmark.py', 'loader', *SMALL, *options, '--json', out)
    cases = json.loads(out.read_text())['cases']
    assert [case['changes'] for case in cases] == [dict(workers=0), dict(workers=1)]
    for case in cases:
        ours = case['results']['ours']
        assert ours['figures'] == dict(batches=2)
        assert ours['images_per_second'] == pytest.approx(10 / ours['wall']['median'])


def test_a_step_with_and_without_the_faster_parts(tmp_path):
    out = tmp_path / 'step.json'
    call('benchmarks/benchmark.py', 'step', *SMALL, '--candidates', 3, '--plain', '--json', out)
    (case,) = json.loads(out.read_text())['cases']
    ours, plain = (case['results'][name]['figures'] for name in ('ours', 'plain'))
    assert ours == pytest.approx(plain, rel=1e-4)


def test_the_teachers_update_beside_a_loop(tmp_path):
    """Through the command in tools/, which is the same."""
    out = tmp_path / 'ema.json'
    call('tools/benchmark.py', 'ema', *SMALL, '--json', out)
    (case,) = json.loads(out.read_text())['cases']
    assert set(case['results']) == {'ours', 'loop'}


def test_a_contestant_that_ends_says_why():
    with closing(Contestant('peer', [sys.executable, '-c', 'raise SystemExit("no weights")'])) as contestant:
        with pytest.raises(InputError, match='peer ended: no weights'):
            contestant.wait()


@pytest.mark.parametrize(
    'config, name', [('ablations/end_to_end', 'reg_filter'), ('baseline/faster_rcnn_r18_fpn_bccd', 'rpn_filter')]
)
def test_a_config_without_filters(config, name):
    said = refusal('benchmarks/benchmark.py', 'step', '--config', f'configs/{config}.py')
    assert f'a config whose semi_train_cfg has {name}=dict(type=' in said


@pytest.mark.parametrize(
    'options, sentence',
    [
        (['step', '--workers', 2, '--official', 'there'], 'leave out the workers'),
        (['step', '--vary', 'workers', 0, 1, '--mmdet3', 'there'], 'leave out the workers'),
        (['inference', '--amp', 'bfloat16'], '--amp is for a step'),
        (['step', '--amp', 'float16', '--device', 'cpu'], 'bfloat16 works on a CPU'),
        (['step', '--amp', 'bfloat16', '--official', 'there'], 'knows float16 alone'),
        (['step', '--vary', 'depth', 18], '--vary takes one of candidates, '),
        (['step', '--vary', 'candidates', 8, '--profile', 'trace.json'], 'leave out --vary'),
        (['step', '--repeats', 0], 'at least 1'),
        (['ema', '--official', ROOT / 'docs'], "not a checkout of the authors' repository"),
        (['ema', '--mmdet3', '/nowhere/python'], '--mmdet3 /nowhere/python: no such program'),
        (['ema', '--official-python', '/nowhere/python'], '--official-python /nowhere/python: no such program'),
        (['loader', '--plain'], '--plain is for a step or for inference'),
    ],
)
def test_settings_that_cannot_be_compared_are_refused(options, sentence, capsys):
    with pytest.raises(SystemExit):
        call('benchmarks/benchmark.py', *options)
    assert sentence in capsys.readouterr().err


def test_summary_of_runs():
    runs = [
        dict(wall=wall, cpu=2 * wall, parts=dict(a=wall), peak=peak, figures=dict(loss=wall))
        for wall, peak in ((3.0, 150), (1.0, 170), (2.0, 160))
    ]
    result = summary(runs, 100, dict(kind='step', images=[1, 4], processes=2))
    assert result['wall'] == dict(median=2.0, min=1.0, max=3.0) == result['parts']['a']
    assert result['cpu']['median'] == 4.0 and result['images_per_second'] == 5.0
    assert (result['peak'], result['run_memory'], result['figures']) == (170, 70, dict(loss=2.0))
    assert spread([4.0, 1.0]) == dict(median=2.5, min=1.0, max=4.0)
