"""Evaluation of student and teacher: who is asked, what it is called, what is put back."""

import numpy as np
import pytest
import torch
from mmcv.parallel import MMDataParallel
from mmcv.runner import IterBasedRunner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ssod.data import build_test_loader
from ssod.hooks import SemiEvalHook, evaluation
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
        hook(interval=4).after_train_iter(runner)
        assert len(asked) == expected


@pytest.mark.parametrize(
    'save_best, file', [('auto', 'best_student_bbox_mAP'), ('teacher_bbox_mAP', 'best_teacher_bbox_mAP')]
)
def test_the_best_checkpoint_is_named_after_its_metric(make_model, real_runner, asked, tmp_path, save_best, file):
    runner = real_runner(make_model())
    run(runner, hook(interval=4, save_best=save_best))
    assert (tmp_path / f'{file}_iter_4.pth').exists()
    assert runner.meta['hook_msgs']['best_score'] == (0.1 if save_best == 'auto' else 0.2)


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
