"""What is trained when, with trainings that leave a log and nothing else."""

import json
from types import SimpleNamespace

import pytest
from runs import SOFT_TEACHER, small

from ssod.apis import InputError, load_config
from ssod.apis.comparison import runs
from ssod.apis.recipe import adapt
from ssod.core.hardware import Hardware


class Trainings:
    """Stands for `run_training`: notes the calls, leaves a log, or the labels of the baseline."""

    def __init__(self):
        self.labels, self.commands, self.envs, self.failing, self.scores = [], {}, [], '', [0.9]

    def __call__(self, command, env, work_dir, label, threads, stop):
        self.labels.append(label)
        self.commands[label] = list(map(str, command))
        self.envs.append((env, threads))
        if label == self.failing:
            raise InputError('no disk')
        work_dir.mkdir(parents=True, exist_ok=True)
        if label.startswith('labels'):
            annotations = [dict(score=score) for score in self.scores]
            (work_dir / 'pseudo_labels.json').write_text(json.dumps(dict(annotations=annotations)))
            return
        (work_dir / 'iter_8.pth').touch()
        entry = dict(mode='val', iter=8, student_bbox_mAP=0.3, teacher_bbox_mAP=0.4)
        (work_dir / '1.log.json').write_text(json.dumps(entry))


@pytest.fixture
def trainings(monkeypatch):
    monkeypatch.setattr(runs, 'run_training', fake := Trainings())
    return fake


@pytest.fixture
def plan(tmp_path):
    """``plan(seeds, skip, threshold, **settings)`` of the demo's Soft Teacher in a folder of its own."""

    def make(seeds=(0,), skip=(), threshold=None, **settings):
        options = dict(option.split('=', 1) for option in small()[1:])
        numbers = ('percent', 'data.samples_per_gpu', 'data.workers_per_gpu', 'runner.max_iters', 'evaluation.interval')
        kept = {key: int(options[key]) for key in numbers} | {'data_root': options['data_root']}
        kept['custom_hooks'] = []  # without a burn-in: 8 iterations would end within it
        kept.update(settings)
        return runs.new_plan(load_config(SOFT_TEACHER, kept), tmp_path / 'out', seeds, skip, threshold)

    return make


def train(plan, jobs=1):
    trainer = runs.Trainer(plan, jobs, stop := SimpleNamespace(received=False, processes=[]))
    trainer.train_all()
    return trainer, stop


def test_label_once_follows_its_baseline_and_what_is_done_is_not_done_again(trainings, plan, tmp_path):
    made = plan(seeds=(0, 3))
    train(made)
    kinds = ['baseline', 'labels', 'label_once', 'method']
    assert trainings.labels == [f'{kind} {seed}' for seed in (0, 3) for kind in kinds]
    out = tmp_path / 'out'
    start = [*runs.SSOD, 'train', f'{out}/method/method.py', '--work-dir', f'{out}/method/seed3', '--seed', '3']
    assert trainings.commands['method 3'] == [*start, '--auto-resume']
    labels = f'{out}/label_once/seed3/pseudo_labels.json'
    assert trainings.commands['label_once 3'][-2:] == ['--cfg-options', f'data.train.unlabeled.ann_file={labels}']
    by = ['pseudo-label', f'{out}/method/method.py', f'{out}/baseline/seed3/iter_8.pth', '--out', labels]
    assert trainings.commands['labels 3'][3:] == [*by, '--score-thr', '0.7', '--eval-on', 'teacher']

    trainings.labels.clear()
    (out / 'label_once/seed0/1.log.json').unlink()
    train(plan(seeds=(0, 3)))
    assert trainings.labels == ['label_once 0']
    with pytest.raises(InputError, match='label_once were trained with other settings of pseudo_score_thr, data: give'):
        plan(threshold=0.5)


def test_a_method_that_asks_for_it_is_scaled_before_the_others_are_derived(plan):
    """4 labeled images are for 2 + 2 a step here: half of everything, for all of them, and once."""
    lr = load_config(SOFT_TEACHER).optimizer.lr
    made = plan(base_batch=dict(labeled=4, unlabeled=4), auto_scale=True)
    assert [cfg.runner.max_iters for cfg in made.configs.values()] == [16, 16, 16]
    assert [cfg.optimizer.lr for cfg in made.configs.values()] == [pytest.approx(lr / 2**0.5, rel=1e-3)] * 3
    assert not any(cfg.auto_scale for cfg in made.configs.values())
    for cfg in made.configs.values():
        assert adapt(cfg, processes=1) is None  # nothing to scale or to warn of when they are trained


def test_the_threshold_is_the_methods_unless_one_is_given(plan):
    assert plan().threshold() == 0.7
    assert plan(threshold=0.55).configs['label_once'].data.train.unlabeled.score_thr == 0.55


def test_without_label_once(trainings, plan):
    train(plan(skip=('label_once',)))
    assert trainings.labels == ['baseline 0', 'method 0']


def test_no_label_above_the_threshold_is_no_failure(trainings, plan, capsys):
    trainings.scores = [0.7, 0.6]
    trainer, _ = train(plan())
    assert trainings.labels == ['baseline 0', 'labels 0', 'method 0'] and trainer.failed == []
    assert 'label_once 0: the baseline gives no label above 0.7, not trained' in capsys.readouterr().out


@pytest.mark.parametrize('failing, rest', [('baseline 0', []), ('labels 0', ['labels 0'])])
def test_a_failure_costs_what_needs_it(trainings, plan, failing, rest):
    trainings.failing = failing
    trainer, _ = train(plan())
    assert trainings.labels == ['baseline 0', *rest, 'method 0'] and trainer.failed == [failing]


def test_after_a_signal_nothing_is_started(trainings, plan, monkeypatch):
    def stopped(command, env, work_dir, label, threads, stop):
        trainings(command, env, work_dir, label, threads, stop)
        stop.received = True

    monkeypatch.setattr(runs, 'run_training', stopped)
    train(plan(seeds=(0, 1)))
    assert trainings.labels == ['baseline 0']


def test_a_last_checkpoint_that_was_not_evaluated_is_trained_again(trainings, plan):
    made = plan(skip=('label_once',))
    (work_dir := made.run_dir('method', 0)).mkdir(parents=True)
    for name in ('iter_4.pth', 'iter_8.pth', 'latest.pth'):
        (work_dir / name).touch()
    trainer = runs.Trainer(made, 1, SimpleNamespace(received=False))
    trainer.call = lambda *_: sorted(path.name for path in work_dir.glob('*.pth'))
    assert trainer.train('method', 0) == ['iter_4.pth']


@pytest.mark.parametrize(
    'gpus, visible, jobs, chains, expected',
    [
        (0, None, None, 6, (2, 4, [])),
        (0, None, 3, 6, (3, 2, [])),
        (0, None, None, 1, (1, 8, [])),
        (4, None, None, 6, (4, 2, ['0', '1', '2', '3'])),
        (2, '5,7', None, 6, (2, 4, ['5', '7'])),
        (2, None, 4, 6, (4, 2, ['0', '1'])),
    ],
)
def test_places(monkeypatch, gpus, visible, jobs, chains, expected):
    monkeypatch.setattr(runs, 'this_machine', lambda: Hardware(gpus, memory=2**34, cores=8))
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if visible:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    slots = runs.Slots(jobs, chains)
    assert (slots.jobs, slots.threads, slots.gpus) == expected
    if gpus:
        with slots.taken() as first, slots.taken() as second:
            used = [first['CUDA_VISIBLE_DEVICES'], second['CUDA_VISIBLE_DEVICES']]
        assert used == slots.gpus[:2]
    else:
        with slots.taken() as env:
            assert env == {}


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(InputError, match='has no baseline: train first'):
        runs.read_plan(tmp_path, (0,))
