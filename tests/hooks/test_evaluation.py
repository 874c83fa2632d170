"""Evaluation of student and teacher: who is asked, what it is called, what is put back."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.parallel import MMDataParallel
from mmcv.runner import IterBasedRunner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ssod.data import build_test_loader
from ssod.hooks import SemiEvalHook, evaluation
from ssod.hooks.best import Best
from ssod.hooks.evaluation import models_to_test, predicting_on, run_test


class Scores(Dataset):
    """A data set whose metric is in the detections themselves."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return index

    def evaluate(self, results, logger=None, metric=None):
        assert metric == 'bbox'
        return dict(bbox_mAP=results[0])


@pytest.fixture
def asked(monkeypatch):
    """Who is tested, in order; the student scores 0.1 and the teacher 0.2, a plain detector 0.3."""
    names = []

    def run_test(model, dataloader):
        names.append(getattr(model.module, 'predict_on', None))
        return [{'student': 0.1, 'teacher': 0.2, None: 0.3}[names[-1]]]

    monkeypatch.setattr(evaluation, 'run_test', run_test)
    return names


def hook(**kwargs):
    return SemiEvalHook(DataLoader(Scores()), metric='bbox', **kwargs)


def run(runner, eval_hook):
    eval_hook.before_run(runner)
    eval_hook.after_train_iter(runner)
    return {key: value for key, value in runner.log_buffer.output.items() if 'mAP' in key}


@pytest.fixture
def real_runner(fake_runner, tmp_path):
    def make(model):
        logger = fake_runner().logger
        runner = IterBasedRunner(
            MMDataParallel(model, device_ids=[]), work_dir=str(tmp_path), logger=logger, meta={}, max_iters=10
        )
        runner._iter = 3
        return runner

    return make


def test_both_are_evaluated_under_their_names_and_predict_on_is_put_back(make_model, real_runner, asked):
    model = make_model()
    for before in ('student', 'teacher'):
        model.predict_on = before
        metrics = run(real_runner(model), hook(interval=4))
        assert metrics == dict(student_bbox_mAP=0.1, teacher_bbox_mAP=0.2)
        assert model.predict_on == before
    assert asked == ['student', 'teacher'] * 2


def test_predict_on_is_put_back_when_the_test_fails(make_model):
    model = make_model()
    with pytest.raises(KeyError), predicting_on(model, 'teacher'):
        assert model.predict_on == 'teacher'
        raise KeyError
    assert model.predict_on == 'student'


def test_a_plain_detector_is_evaluated_once_under_plain_names(real_runner, asked):
    assert run(real_runner(nn.Linear(1, 1)), hook(interval=4)) == dict(bbox_mAP=0.3)
    assert asked == [None]


def test_eval_on_says_who_is_tested(make_model):
    model = make_model()
    assert models_to_test(model, 'both') == models_to_test(model, ['student', 'teacher']) == ('student', 'teacher')
    assert models_to_test(model, 'teacher') == ('teacher',)
    assert models_to_test(MMDataParallel(model, device_ids=[]), 'student') == ('student',)
    assert models_to_test(nn.Linear(1, 1), 'both') == (None,)


def test_the_last_iteration_is_evaluated_whatever_the_interval(make_model, real_runner, asked):
    runner = real_runner(make_model())
    for iteration, expected in ((2, 0), (3, 2), (4, 2), (9, 4)):
        runner._iter = iteration
        hook(interval=4, save_best=None).after_train_iter(runner)
        assert len(asked) == expected


@pytest.mark.parametrize(
    'settings, model, value',
    [
        (dict(), 'teacher', 0.2),
        (dict(save_best='auto'), 'teacher', 0.2),
        (dict(save_best='student_bbox_mAP'), 'student', 0.1),
        (dict(save_best='teacher_bbox_mAP'), 'teacher', 0.2),
        (dict(rule='less'), 'student', 0.1),
        (dict(eval_on='student'), 'student', 0.1),
    ],
)
def test_the_best_checkpoint_is_named_after_its_metric(
    make_model, real_runner, asked, tmp_path, settings, model, value
):
    runner = real_runner(make_model())
    run(runner, hook(interval=4, **settings))
    file = f'best_{model}_bbox_mAP_iter_4.pth'
    assert [path.name for path in tmp_path.glob('*.pth')] == [file]
    assert runner.meta['hook_msgs']['best_score'] == value
    assert Best.read(tmp_path) == Best('bbox_mAP', value, 4, model, file)
    assert {'state_dict', 'optimizer'} >= torch.load(tmp_path / file).keys() - {'meta'}


def test_none_keeps_none(make_model, real_runner, asked, tmp_path):
    run(real_runner(make_model()), hook(interval=4, save_best=None))
    assert not list(tmp_path.glob('best*')) and Best.read(tmp_path) is None


class Course:
    """A run of evaluations, one every 4 iterations, of a student and a teacher with given scores."""

    def __init__(self, runner, monkeypatch, **settings):
        self.runner, self.hook = runner, hook(interval=4, **settings)
        monkeypatch.setattr(evaluation, 'run_test', lambda model, loader: [self.scores[model.module.predict_on]])

    def start(self, done=0):
        self.runner._iter = done
        self.hook.before_run(self.runner)

    def evaluate(self, student, teacher):
        """One evaluation after 4 more iterations; the iteration of the best."""
        self.scores = dict(student=student, teacher=teacher)
        self.runner._iter = (self.runner.iter // 4) * 4 + 3
        self.hook.after_train_iter(self.runner)
        self.runner._iter += 1
        best = Best.read(self.runner.work_dir)
        return best and (best.iteration, best.model, best.value)


@pytest.fixture
def course(make_model, real_runner, monkeypatch):
    def make(**settings):
        own = Course(real_runner(make_model()), monkeypatch, **settings)
        own.runner._max_iters = 100
        return own

    return make


def test_the_better_of_both_is_followed_and_one_file_is_kept(course, tmp_path):
    own = course()
    own.start()
    assert own.evaluate(0.3, 0.1) == (4, 'student', 0.3)
    assert own.evaluate(0.2, 0.3) == (4, 'student', 0.3)
    assert own.evaluate(0.3, 0.4) == (12, 'teacher', 0.4)
    assert own.evaluate(0.4, float('nan')) == (12, 'teacher', 0.4)
    assert own.evaluate(0.5, float('nan')) == (20, 'student', 0.5)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['best_student_bbox_mAP_iter_20.pth']
    assert Best.read(tmp_path).key == 'student_bbox_mAP'


def test_nothing_but_nan_is_no_best(course):
    own = course()
    own.start()
    assert own.evaluate(float('nan'), float('nan')) is None


def test_patience_ends_the_run_as_its_end_would(course, tmp_path):
    own = course(patience=2)
    own.start()
    for student, teacher in ((0.1, 0.3), (0.2, 0.2), (0.1, 0.4), (0.4, 0.4)):
        own.evaluate(student, teacher)
    assert own.runner.max_iters == 100
    assert own.evaluate(0.1, 0.1) == (12, 'teacher', 0.4)
    assert own.runner.max_iters == own.runner.iter == 20 and (tmp_path / 'iter_20.pth').exists()
    assert (tmp_path / 'latest.pth').resolve().name == 'iter_20.pth'


def test_a_resumed_run_takes_up_its_best_and_its_patience(course, tmp_path):
    """A checkpoint is saved before the evaluation of its iteration, of which it knows nothing."""
    own = course(patience=3)
    own.start()
    for scores in ((0.1, 0.2), (0.5, 0.1), (0.1, 0.1), (0.1, 0.1)):
        own.evaluate(*scores)
    resumed = course(patience=3)
    resumed.start(done=16)
    assert resumed.runner.max_iters == 100 and resumed.hook.without_best == 2
    assert resumed.runner.meta['hook_msgs']['best_score'] == 0.5
    assert resumed.evaluate(0.4, 0.4) == (8, 'student', 0.5) and resumed.runner.max_iters == 20
    again = course(patience=3)
    again.start(done=20)
    assert again.runner.max_iters == 20  # it is over, and stays so
    longer = course(patience=9)
    longer.start(done=20)
    assert longer.evaluate(0.6, 0.1) == (24, 'student', 0.6)
    assert [path.name for path in tmp_path.glob('best*.pth')] == ['best_student_bbox_mAP_iter_24.pth']


def test_a_new_run_forgets_the_recommendation_of_an_old_one_and_leaves_another_runs_file(course, tmp_path):
    Best('bbox_mAP', 0.9, 4, None, 'best.pth').write(tmp_path)
    own = course()
    own.start()
    assert Best.read(tmp_path) is None
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/best.pth').touch()
    own = course()
    own.runner.meta['hook_msgs'] = dict(best_score=0.2, best_ckpt=str(tmp_path / 'other/best.pth'))
    own.start(done=4)
    assert own.evaluate(0.1, 0.1) is None and own.evaluate(0.3, 0.1) == (12, 'student', 0.3)
    assert (tmp_path / 'other/best.pth').exists()


def test_a_metric_of_which_nobody_knows_the_rule_keeps_nothing(real_runner, monkeypatch, tmp_path, asked):
    monkeypatch.setattr(Scores, 'evaluate', lambda self, results, logger=None, metric=None: dict(oddity=0.5))
    runner, messages = real_runner(nn.Linear(1, 1)), []
    monkeypatch.setattr(runner.logger, 'warning', messages.append)
    run(runner, hook(interval=4))
    assert messages == ['no best checkpoint is kept: set evaluation.rule, is more or less oddity better?']
    assert not list(tmp_path.glob('best*'))


@pytest.mark.parametrize('scores', [(0, 0), (3, 0), (0, 3)])
def test_ranks_stop_together(on_two_ranks, scores):
    def stop(rank):
        own = hook(patience=3)
        own.without_best = scores[rank]
        runner = SimpleNamespace(iter=5, rank=1, _max_iters=9)
        own._stop_if_done(runner, 6)
        return torch.tensor(runner._max_iters)

    assert [int(value) for value in on_two_ranks(stop)] == [6 if any(scores) else 9] * 2


def test_what_could_only_fail_at_the_first_evaluation_is_refused_before_it(make_model, real_runner):
    for eval_on in ('techer', ['student', 'both'], []):
        with pytest.raises(ValueError, match="eval_on must be 'student', 'teacher' or 'both'"):
            hook(eval_on=eval_on)
    with pytest.raises(ValueError, match="student_bbox_mAP or teacher_bbox_mAP, got 'bbox_mAP'"):
        hook(save_best='bbox_mAP').before_run(real_runner(make_model()))
    with pytest.raises(ValueError, match="too: teacher_student_bbox_mAP, got 'student_bbox_mAP'"):
        hook(eval_on='teacher', save_best='student_bbox_mAP').before_run(real_runner(make_model()))
    hook(save_best='bbox_mAP').before_run(real_runner(nn.Linear(1, 1)))


class Numbers(nn.Module):
    """A detector whose result is the image's number, and a mask for each odd one."""

    def forward(self, img, return_loss, rescale):
        mask = np.asfortranarray(np.ones((2, 3), np.uint8))
        return [([[number]], [[mask]]) if number % 2 else [[number]] for number in img.tolist()]


@pytest.mark.parametrize('images, batch', [(5, 1), (5, 2), (8, 3), (1, 2)])
def test_results_of_two_processes_are_those_of_one_in_order(on_two_ranks, images, batch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Images(Scores):
        def __len__(self):
            return images

        def __getitem__(self, index):
            return dict(img=torch.tensor(index))

    def test(rank):
        loader = build_test_loader(Images(), dict(workers_per_gpu=0, test_samples_per_gpu=batch), distributed=True)
        twice = [run_test(Numbers(), loader) for _ in range(2)]
        assert (twice[0] is None) == (rank == 1)
        boxes = [[one[0] if isinstance(one, tuple) else one for one in found or []] for found in twice]
        return torch.tensor(boxes).flatten()

    found = on_two_ranks(test)
    assert found[0].tolist() == [*range(images)] * 2 and found[1].tolist() == []
    assert {path.name for path in tmp_path.iterdir()} <= {'two', '0.pt', '1.pt'}  # nothing went through files


def test_masks_are_run_lengths_and_the_model_is_in_eval_mode():
    class Images(Scores):
        def __getitem__(self, index):
            return dict(img=torch.tensor(index))

    model = Numbers().train()
    plain, (boxes, masks) = run_test(model, build_test_loader(Images(), dict(workers_per_gpu=0), distributed=False))
    assert plain == [[0]] and boxes == [[1]] and masks[0][0]['size'] == [2, 3] and not model.training


@pytest.mark.parametrize('settings', [dict(gpu_collect=False), dict(tmpdir=None), dict(rule='greater'), dict()])
def test_what_the_hook_or_the_data_set_takes_passes(settings, real_runner, asked):
    assert run(real_runner(nn.Linear(1, 1)), hook(interval=4, **settings)) == dict(bbox_mAP=0.3)


def test_a_setting_that_nobody_takes_is_refused():
    with pytest.raises(ValueError, match="evaluation has no setting 'metrics': the hook takes .*, Scores metric"):
        hook(metrics=['segm'])


def test_the_task_evaluates(real_runner, asked):
    def evaluate(dataset, results, metric, logger):
        assert isinstance(dataset, Scores) and metric == 'bbox'
        return dict(bbox_mAP=results[0] + 1)

    assert run(real_runner(nn.Linear(1, 1)), hook(interval=4, evaluate=evaluate)) == dict(bbox_mAP=1.3)


def test_detections_come_from_the_model_asked(make_model, make_view, real_runner):
    class Views(Scores):
        def __getitem__(self, index):
            view = make_view(['u'])
            return dict(img=[view['img'][0]], img_metas=[view['img_metas'][0]])

        def evaluate(self, results, logger=None, metric=None):
            assert len(results) == 2 and all(len(classes) == 3 for classes in results)
            return dict(bbox_mAP=float(sum(boxes[:, 4].sum() for boxes in results[0])))

    def collate(samples):
        return dict(img=[torch.stack([s['img'][0] for s in samples])], img_metas=[[s['img_metas'][0] for s in samples]])

    model = make_model()
    eval_hook = SemiEvalHook(DataLoader(Views(), collate_fn=collate), metric='bbox', interval=4)
    metrics = run(real_runner(model), eval_hook)
    view = make_view(['u'])
    with torch.no_grad():
        own = model.teacher.simple_test(view['img'], view['img_metas'], rescale=True)[0]
    assert metrics['teacher_bbox_mAP'] == pytest.approx(float(sum(boxes[:, 4].sum() for boxes in own)))
    assert metrics['teacher_bbox_mAP'] != metrics['student_bbox_mAP'] > 0
