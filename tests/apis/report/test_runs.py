"""What trainings leave for their report, and what is computed where they left nothing."""

import json
import shutil

import pytest
from mmcv import Config
from runs import BASELINE, SOFT_TEACHER, call, scratch, small, trained, trained_masks
from segmentation_runs import supervised

from ssod.apis import InputError, load_config
from ssod.apis.labels.thresholds import thresholds_of
from ssod.apis.report import read_run, write_report
from ssod.apis.report.record import Recorder, add_line
from ssod.apis.report.start import difference_to_base
from ssod.cli import COMMANDS
from ssod.core.progress import Progress
from ssod.core.task import TASKS


@pytest.mark.parametrize('work_dir, label', [(trained, 'mAP'), (trained_masks, 'mask mAP'), (supervised, 'IoU')])
def test_a_training_leaves_a_report_and_what_it_is_made_of(work_dir, label):
    run = read_run(work_dir())
    found, model = run.examination
    assert found.label == label and model['checkpoint'] == run.best.checkpoint and run.is_examined()
    assert model['model'] == run.best.model and len(found.images) == 8
    assert all(run.picture(one['file'])[:2] == b'\xff\xd8' for one in model['pictures'])
    texts, pictures = (list((run.folder / 'evaluation').glob(f'*.{kind}')) for kind in ('json', 'jpg'))
    assert len(pictures) == 8 and sum(path.stat().st_size for path in texts) < 20_000
    if label != 'IoU':
        best = [curve.best() or (0.5, 0) for curve in found.curves]
        thresholds = dict(zip(found.classes, [one[0] for one in best], strict=True))
        assert thresholds_of(found.classes, str(run.folder / run.best.checkpoint), None, None)[0] == thresholds
    text = (run.folder / 'report.html').read_text()
    for said in ('id=per-class', 'Losses', 'data:image/jpeg;base64,', run.best.checkpoint, 'Config beside its base'):
        assert said in text
    now = Progress.read(run.folder / 'progress.json')
    assert (now.what, now.iteration) == ('done', now.max_iters) and now.losses['loss'] > 0
    assert now.evaluated_at == now.iteration and now.metrics and now.best.startswith('best so far: ')
    last = run.log['train'][-1]
    assert now.losses['loss'] == pytest.approx(last['loss'], abs=1e-4)


def test_pseudo_labels_are_measured_while_a_method_trains():
    (line,) = read_run(trained()).history
    assert (line['iteration'], line['model'], line['threshold']) == (8, 'teacher', 0.7)
    assert read_run(trained_masks()).history == []  # a baseline has none


def test_what_was_not_kept_is_computed_and_the_same(tmp_path, capsys):
    folder = tmp_path / 'run'
    shutil.copytree(trained(), folder)
    before = json.loads((folder / 'evaluation/examination.json').read_text())
    shutil.rmtree(folder / 'evaluation')
    COMMANDS['report']([str(folder), '--no-predictions', '--svg', '--out', str(tmp_path / 'own.html')], 'ssod report')
    assert not (folder / 'evaluation').exists() and 'was not kept' in (tmp_path / 'own.html').read_text()
    COMMANDS['report']([str(folder), '--svg'], 'ssod report')
    assert json.loads((folder / 'evaluation/examination.json').read_text()) == before
    assert capsys.readouterr().out.splitlines()[-1] == f'{folder}/report.html: open it in a browser'
    (folder / read_run(folder).best.checkpoint).unlink()
    shutil.rmtree(folder / 'evaluation')
    with pytest.raises(InputError, match='is gone: use --no-predictions'):
        write_report(folder)


def test_nothing_is_recorded_where_it_is_switched_off_and_a_failure_is_a_warning(tmp_path, fake_runner):
    options = small(runner__max_iters=2, evaluation__interval=2, evaluation__record=False)
    call('tools/train.py', BASELINE, '--work-dir', tmp_path, '--seed', 0, *options)
    assert (
        not (tmp_path / 'evaluation').exists() and 'evaluation.record=False' in (tmp_path / 'report.html').read_text()
    )
    runner = fake_runner()
    Recorder(Config.fromfile(BASELINE), TASKS['detection'])(runner, object(), {'student': []}, True)
    assert runner.messages[0].startswith('nothing is recorded for the report: ')


def test_a_resumed_run_forgets_what_came_later():
    old = [dict(iteration=i, recall=0) for i in (10, 20, 30)]
    assert [line['iteration'] for line in add_line(old, dict(iteration=20))] == [10, 20]
    assert add_line([], dict(iteration=5)) == [dict(iteration=5)]


def test_the_difference_to_the_base_is_what_was_set():
    cfg = load_config(SOFT_TEACHER, {'data_root': f'{scratch()}/', 'optimizer.lr': 0.5, 'percent': 25})
    base, changes = difference_to_base(cfg)
    assert base.endswith('configs/_base_/runtime.py') and 'shapes_semi.py' in base
    assert {name: (before, now) for name, before, now in changes} == {
        'data_root': ("'work_dirs/demo/data/'", f"'{scratch()}/'"),
        'optimizer.lr': ('0.001', '0.5'),
        'percent': ('5', '25'),
    }
    assert difference_to_base(Config(dict(model=dict(type='X')))) == (None, [])
