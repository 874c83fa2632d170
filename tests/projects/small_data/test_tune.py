"""The levers of the small-data recipe: every row can be trained, and the table says what it is better than."""

import json

import pytest
from mmcv import Config
from runs import SOFT_TEACHER, taught

from projects.small_data import tune
from projects.small_data.levers import LEVERS
from ssod.apis import load_config
from ssod.apis.checks import run_command

RECIPE = 'configs/small_data/soft_teacher_faster_rcnn_mobilenet_v2_fpn.py'


def test_every_lever_changes_the_recipe():
    plain = load_config(RECIPE)
    for name, lever in LEVERS.items():
        cfg = load_config(RECIPE, dict(lever.options))
        assert (cfg._cfg_dict != plain._cfg_dict) == bool(lever.options), name
        assert bool(lever.options) == (name not in ('baseline', 'recipe'))


def test_mean_and_interval_worked_by_hand():
    assert tune.interval([1.5]) == '+1.5'
    # Standard error 1 / sqrt(3), times 4.303: 2.48.
    assert tune.interval([1.0, 2.0, 3.0]) == '+2.0 (-0.5 to +4.5)'


@pytest.fixture
def config(tmp_path):
    """A fold's config: the demo's Soft Teacher, six iterations of which two are burn-in."""
    options = dict(option.split('=', 1) for option in taught(runner__max_iters=6, evaluation__interval=3)[1:])
    cfg = Config.fromfile(SOFT_TEACHER)
    cfg.merge_from_dict({key: int(v) if v.isdigit() else eval(v) if v[0] in '([' else v for key, v in options.items()})
    cfg.burn_in, cfg.checkpoint_config.interval = 2, 3
    path = tmp_path / 'fold/soft_teacher.py'
    path.parent.mkdir()
    path.write_text(cfg.pretty_text)
    return path


def call(monkeypatch, *argv):
    monkeypatch.setattr('sys.argv', ['tune.py', *map(str, argv)])
    run_command(tune.main)


@pytest.mark.long
def test_rows_continue_from_the_burn_in_and_are_compared_with_the_baseline(config, tmp_path, capsys, monkeypatch):
    argv = [config, '--rows', 'baseline', 'weight_4', '--out', tmp_path / 'out']
    call(monkeypatch, *argv)
    runs = tmp_path / 'out/fold'
    assert (runs / 'burn_in/seed0/iter_2.pth').is_file()
    for row in ('baseline', 'weight_4'):
        assert (runs / row / 'seed0/iter_6.pth').is_file() and not (runs / row / 'seed0/iter_2.pth').exists()
        log = next((runs / row / 'seed0').glob('*.log.json')).read_text()
        assert min(entry['iter'] for entry in map(json.loads, log.splitlines()[1:])) > 2
    page = (tmp_path / 'out/levers.md').read_text()
    values = [tune.score(runs / row / f'{row}.py') for row in ('baseline', 'weight_4')]
    assert f'| supervised baseline | {values[0]:.1f} |  |' in page
    assert f'| unsupervised weight 4 | {values[1]:.1f} | {values[1] - values[0]:+.1f} |' in page
    capsys.readouterr()
    call(monkeypatch, *argv, '--report')
    assert capsys.readouterr().out == page


def test_a_config_that_is_not_there_is_refused(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match='error: no config file'):
        call(monkeypatch, tmp_path / 'none.py', '--out', tmp_path)
