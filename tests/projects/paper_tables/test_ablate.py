"""The paper's tables, a command each: rows over every base, runs that are shared, stopped, failed and done."""

import json
import time
from pathlib import Path

import mmcv
import pytest
from mmcv import Config
from mmdet.models import build_detector
from runs import ROOT, call, refusal, small

from projects.paper_tables import ablate
from projects.paper_tables.tables import TABLES, Table, all_rows
from ssod.apis import InputError, load_config
from ssod.apis.config import fill_in
from ssod.apis.runs import read_log

SCRIPT = 'tools/ablate.py'
# What each row says of: background weight, regression filter's (threshold, jitters), score threshold, momentum; None
# where it says nothing.
NO_JITTER = (None, None)
SETTINGS = {
    'end_to_end': (None, NO_JITTER, None, 0.0),
    'end_to_end_ema': (None, NO_JITTER, None, None),
    'soft_weights': ('TeacherBackgroundScore', NO_JITTER, None, None),
    'soft_teacher': ('TeacherBackgroundScore', None, None, None),
    'background_student': ('StudentBackgroundScore', NO_JITTER, None, None),
    'background_difference': ('PredictionDifference', NO_JITTER, None, None),
    'background_iou': ('PseudoBoxIoU', NO_JITTER, None, None),
    'background_reverse_iou': ('PseudoBoxIoU reverse', NO_JITTER, None, None),
    **{f'score_thr_0{n}': ('TeacherBackgroundScore', None, n / 100, None) for n in (70, 75, 80, 85, 90, 95)},
    **{f'variance_thr_{n:03d}': ('TeacherBackgroundScore', (n / 100, 10), None, None) for n in (1, 2, 3, 4, 6, 10)},
    **{f'num_jitters_{n:02d}': ('TeacherBackgroundScore', (None, n), None, None) for n in (5, 10, 15)},
}
# Of the data's Soft Teacher: unsupervised weight, score threshold, variance threshold, momentum.
DEFAULTS = {
    'demo': (2.0, 0.7, 0.04, 0.995),
    'bccd': (2.0, 0.9, 0.02, 0.99),
    'coco': (4.0, 0.9, 0.02, 0.999),
}


def short(**settings):
    """`small`, without a burn-in: 8 iterations would end within it."""
    return small(custom_hooks='[]', **settings)


@pytest.mark.parametrize('data', DEFAULTS)
@pytest.mark.parametrize('name', SETTINGS)
def test_settings_of_each_row(name, data):
    background, variance, score, momentum = SETTINGS[name]
    weight, default_score, default_variance, default_momentum = DEFAULTS[data]
    cfg = ablate.run_config(name, data)
    semi = cfg.model.semi_train_cfg
    assert (semi.unsup_weight, semi.candidate_score_thr) == (weight, 0.5)
    assert semi.rpn_filter == semi.cls_filter == dict(type='ScoreFilter', thr=score or default_score)
    if background is None:
        assert semi.background_weight is None
    else:
        assert (
            ' '.join([semi.background_weight.type] + ['reverse'] * ('reverse' in semi.background_weight)) == background
        )
    if variance == NO_JITTER:
        assert semi.reg_filter is None
    else:
        thr, jitters = variance or (None, None)
        assert semi.reg_filter == dict(
            type='JitterVarianceFilter', thr=thr or default_variance, num_jitters=jitters or 10, jitter_scale=0.06
        )
    assert semi.ema.momentum == (default_momentum if momentum is None else momentum)


def test_every_row_but_multi_stage_is_listed_above():
    assert {*SETTINGS, 'multi_stage'} == set(all_rows())


@pytest.mark.parametrize('name', all_rows())
def test_the_file_with_its_overrides_is_the_row_on_coco_and_it_builds(name):
    row = all_rows()[name]
    own = load_config(str(ROOT / f'configs/ablations/{row.config}.py'), dict(row.overrides), 'x')
    merged = fill_in(ablate.run_config(name, 'coco'))
    added = {'cfg_name', 'work_dir'}
    assert {k: v for k, v in own.items() if k not in added} == {k: v for k, v in merged.items() if k not in added}
    load_config(str(ROOT / 'configs/ablations/soft_teacher.py'), dict(row.overrides))  # also on the command line
    model = build_detector(ablate.run_config(name, 'demo').model)
    assert type(model).__name__ == ('SelfTraining' if name == 'multi_stage' else 'SoftTeacher')


def test_the_multi_stage_row_learns_from_boxes_above_the_threshold_of_the_others():
    for data, (weight, score, _, momentum) in DEFAULTS.items():
        cfg = ablate.run_config('multi_stage', data)
        assert cfg.pseudo_score_thr == score and cfg.model.semi_train_cfg.unsup_weight == weight
        assert cfg.data.train.unlabeled == cfg.pseudo_labeled_dataset and cfg.custom_hooks == []
        assert cfg.model.semi_train_cfg.ema.momentum == momentum
        assert cfg.data.sampler == ablate.run_config('end_to_end', data).data.sampler


def test_the_first_stage_takes_the_options_that_are_for_it():
    options = {
        'percent': 1,
        'burn_in': 7,
        'sup_pipeline.3.flip_ratio': 0.25,
        'weak_pipeline.1.flip_ratio': 0.75,
        'test_pipeline.1.img_scale': (96, 96),
        'data.train.labeled.img_prefix': 'x/',
        'data.train.unlabeled.img_prefix': 'y/',
        'data.samples_per_gpu': 32,
        'model.semi_train_cfg.unsup_weight': 3,
        'model.detector.backbone.depth': 34,
    }
    cfg = ablate.baseline_config('demo', options)
    assert (cfg.percent, cfg.data.train.img_prefix, cfg.data.samples_per_gpu) == (1, 'x/', 4)
    assert cfg.data.train.pipeline[3].flip_ratio == 0.25 and cfg.data.val.pipeline[1].img_scale == (96, 96)
    assert cfg.model.backbone.depth == 34 and 'semi_train_cfg' not in cfg.model and 'burn_in' not in cfg
    with pytest.raises(InputError, match='has no fould'):
        ablate.baseline_config('demo', {'fould': 2})


@pytest.mark.parametrize(
    'data, same', [('demo', ['score_thr_070', 'variance_thr_004']), ('coco', ['score_thr_090', 'variance_thr_002'])]
)
def test_rows_that_are_one_experiment(data, same):
    shared = ablate.shared_runs(data)
    assert {name: run for name, run in shared.items() if name != run} == dict.fromkeys(
        [*same, 'num_jitters_10'], 'soft_teacher'
    )


class Trainings:
    """Stands for `run_training`: notes the calls and leaves the log of a training, as far as ``last`` says."""

    def __init__(self):
        self.runs, self.commands, self.envs, self.threads, self.last, self.failing = [], [], [], [], 8, ''

    def __call__(self, command, env, work_dir, label, threads, stop):
        self.runs.append(f'{work_dir.parent.name}/{work_dir.name}')
        self.commands.append(list(map(str, command)))
        self.envs.append(env)
        self.threads.append(threads)
        if self.failing and self.failing in label:
            raise InputError('no disk')
        folder = work_dir / ('stac' if 'multi_stage' in label else '')
        folder.mkdir(parents=True, exist_ok=True)
        score = 0.3 + 0.01 * len(self.runs)
        entry = dict(mode='val', iter=self.last, student_bbox_mAP=score, teacher_bbox_mAP=score + 0.1)
        (folder / '1.log.json').write_text(json.dumps(entry) + '\n')


@pytest.fixture
def trainings(monkeypatch):
    monkeypatch.setattr(ablate, 'run_training', fake := Trainings())
    return fake


def test_a_seed_at_a_time_shared_runs_once_and_finished_runs_never_again(trainings, tmp_path, capsys):
    command = [7, 8, '--seeds', 0, 1, '--out', tmp_path, *short()]
    names = ['end_to_end_ema', 'soft_weights', 'soft_teacher', 'background_student', 'background_difference']
    names += ['background_iou', 'background_reverse_iou']
    call(SCRIPT, *command)
    assert trainings.runs == [f'{name}/seed{seed}' for seed in (0, 1) for name in names]
    out = capsys.readouterr().out
    assert '14 runs, 14 of them to be trained' in out and 'Missing' not in out
    # The scores of a seed's first, second and third run, 7 runs apart: 31, 32, 33 and 38, 39, 40.
    assert '| end-to-end, EMA | 31.0 | 38.0 | 34.5 ± 4.9 | +0.0 | 31.2 | +0.0 |' in out
    assert '| + box jittering | 33.0 | 40.0 | 36.5 ± 4.9 | +2.0 | 34.2 | +3.0 |' in out
    assert '| + box jittering | 43.0 | 50.0 |' in out.split('teacher mAP')[1]
    assert (tmp_path / 'demo/table7.md').is_file() and (tmp_path / 'demo/table8.png').is_file()

    trainings.runs.clear()
    (tmp_path / 'demo/soft_weights/seed1/1.log.json').unlink()  # stopped before its first evaluation
    call(SCRIPT, *command)
    assert trainings.runs == ['soft_weights/seed1']


def test_runs_side_by_side_read_configs_one_at_a_time(trainings, tmp_path, monkeypatch):
    reading, most, fromfile = [], [], Config.fromfile

    def slow(path):
        reading.append(path)
        most.append(len(reading))
        time.sleep(0.05)
        cfg = fromfile(path)
        reading.remove(path)
        return cfg

    monkeypatch.setattr(Config, 'fromfile', slow)
    call(SCRIPT, 7, '--jobs', 3, '--out', tmp_path, *short())
    assert sorted(trainings.runs) == [f'{name}/seed0' for name in ('end_to_end_ema', 'soft_teacher', 'soft_weights')]
    assert max(most) == 1 and trainings.threads == [1, 1, 1]


def test_an_unfinished_run_continues_and_is_marked_missing(trainings, tmp_path, capsys):
    command = [11, '--out', tmp_path, *short(evaluation__interval=3)]  # evaluates at 3, 6 and 8
    trainings.last = 6
    call(SCRIPT, *command)
    assert 'Missing: 5 (seed 0), 10 (seed 0), 15 (seed 0).' in capsys.readouterr().out
    assert '--auto-resume' in trainings.commands[0] and '--seed 0' in ' '.join(trainings.commands[0])
    trainings.last = 8
    call(SCRIPT, *command)
    assert len(trainings.runs) == 6 and 'Missing' not in capsys.readouterr().out


def test_a_last_checkpoint_that_was_not_evaluated_is_trained_again(trainings, tmp_path):
    work_dir = tmp_path / 'demo/soft_teacher/seed0'
    work_dir.mkdir(parents=True)
    for name in ('iter_4.pth', 'iter_8.pth', 'latest.pth'):
        (work_dir / name).touch()
    call(SCRIPT, 7, '--out', tmp_path, *short())
    assert [path.name for path in work_dir.glob('*.pth')] == ['iter_4.pth']
    (work_dir / 'iter_8.pth').touch()
    call(SCRIPT, 7, '--out', tmp_path, *short())
    assert (work_dir / 'iter_8.pth').exists()  # evaluated now


def test_a_failed_run_does_not_cost_the_others(trainings, tmp_path, capsys):
    trainings.failing = 'soft_weights'
    assert 'these runs failed, see output.txt in their folders: soft_weights seed 0' in refusal(
        SCRIPT, 7, '--out', tmp_path, *short()
    )
    assert [run.split('/')[0] for run in trainings.runs] == ['end_to_end_ema', 'soft_weights', 'soft_teacher']
    out = capsys.readouterr().out
    assert 'Missing: + soft weights (seed 0).' in out and '| + soft weights | - | - | - | 33.6 | +2.4 |' in out
    trainings.runs.clear()
    call(SCRIPT, 7, '--report', '--seeds', 0, 1, '--out', tmp_path)
    out = capsys.readouterr().out
    assert trainings.runs == [] and '| + box jittering | 33.0 | - | 33.0 | +2.0 | 34.2 | +3.0 |' in out


def test_commands(trainings, tmp_path):
    call(SCRIPT, 6, '--gpus', 2, '--seeds', 3, '--out', tmp_path, *short(), 'model.semi_train_cfg.unsup_weight=3')
    folder = tmp_path / 'demo/multi_stage'
    options = ['--work-dir', str(folder / 'seed3'), '--seed', '3']
    assert trainings.commands[0] == ['bash', f'{ROOT}/tools/train_multi_stage.sh', '1', '25', '2', *options]
    assert trainings.envs[0] == {'BASELINE': str(folder / 'baseline.py'), 'STAC': str(folder / 'multi_stage.py')}
    assert load_config(trainings.envs[0]['BASELINE']).model.type == 'FasterRCNN'
    stac = load_config(trainings.envs[0]['STAC'], {'data.train.unlabeled.ann_file': 'x.json'})
    assert stac.data.train.unlabeled.ann_file == 'x.json' and stac.data.train.unlabeled.score_thr == 0.7
    assert stac.model.semi_train_cfg.unsup_weight == 3
    config = str(tmp_path / 'demo/end_to_end/end_to_end.py')
    assert trainings.commands[1][:4] == ['bash', f'{ROOT}/tools/dist_train.sh', config, '2']
    assert load_config(config).model.semi_train_cfg.ema.momentum == 0.0


def test_refusals(trainings, tmp_path):
    def refused(*argv):
        return refusal(SCRIPT, *argv, '--out', tmp_path)

    assert 'README.md' in refused(7, '--data', 'bccd', '--cfg-options', f'data_root={tmp_path}/none/')
    assert f'{tmp_path}/none/' in refused(7, '--data', 'coco', '--cfg-options', f'data_root={tmp_path}/none/')
    assert '--cfg-options do not fit' in refused(7, *short(), 'runner.max_iters.x=3')
    assert trainings.runs == []
    call(SCRIPT, 7, '--out', tmp_path, *short())
    said = refused(7, *short(runner__max_iters=9))
    assert 'end_to_end_ema were trained with other settings of runner: give another folder' in said
    assert len(trainings.runs) == 3


@pytest.mark.long
def test_a_real_row(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TABLES, 7, Table('one row', TABLES[7].rows[:1]))
    settings = dict(runner__max_iters=2, checkpoint_config__interval=2, evaluation__interval=2)
    call(SCRIPT, 7, '--out', tmp_path, *short(**settings))
    folder = tmp_path / 'demo/end_to_end_ema/seed0'
    assert (folder / 'iter_2.pth').is_file() and 'Missing' not in capsys.readouterr().out
    entry = read_log(folder)['val'][-1]
    table = mmcv.list_from_file(str(tmp_path / 'demo/table7.md'))
    assert table[4].startswith(f'| end-to-end, EMA | {100 * entry["student_bbox_mAP"]:.1f} |')
    assert Path(folder, 'output.txt').stat().st_size > 0
