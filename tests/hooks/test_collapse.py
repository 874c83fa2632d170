"""A teacher that collapses is named once for each cause, with the figures that say so."""

import re

import numpy as np
import pytest
import torch
from detectors import dense
from runs import SOFT_TEACHER, call, small
from tiny import lively

from ssod.core.class_tally import ClassTally
from ssod.detection import DenseTeacher, MeanTeacher
from ssod.hooks import TeacherCollapseHook
from ssod.hooks.collapse import surest_scores
from ssod.segmentation.cross_pseudo import CrossPseudoSupervision
from ssod.segmentation.online import FixMatch, MeanTeacherSegmentor, Target
from ssod.segmentation.trial import tiny_segmentor, view


def long(*labels: int) -> torch.Tensor:
    return torch.tensor(labels)


def test_the_tally_counts_classes_and_leaves_out_what_is_ignored():
    tally = ClassTally(3)
    tally.add(labeled=long(0, 2, 2), taught=torch.tensor([[1, 255], [1, -1]]))
    tally.add(taught=long(1))
    assert (tally.labeled.tolist(), tally.taught.tolist()) == ([1, 0, 2], [0, 3, 0])
    tally.add(labeled=long())
    tally.clear()
    assert tally.labeled.tolist() == tally.taught.tolist() == [0, 0, 0]


@pytest.fixture
def watched(make_model, fake_runner):
    """``watched(**settings)``: a hook that looks every tenth iteration, its runner, whose model counts 3 classes."""

    def make(**settings):
        runner = fake_runner(make_model(), data_batch={})
        hook = TeacherCollapseHook(**{**dict(interval=10), **settings})
        hook.before_run(runner)
        return hook, runner

    return make


def intervals(hook, runner, *counts):
    """Intervals with so many labels, and pseudo labels, of each class."""
    for labeled, taught in counts:
        for _ in range(10):
            runner.model.tally.add(*(torch.arange(3).repeat_interleave(torch.tensor(n)) for n in (labeled, taught)))
            hook.after_train_iter(runner)
            runner.iter += 1


def test_classes_far_from_those_of_the_labels_are_said_once_at_the_second_look(watched):
    hook, runner = watched()
    intervals(hook, runner, ([5, 4, 1], [1, 1, 18]))
    assert runner.messages == []
    intervals(hook, runner, *[([5, 4, 1], [1, 1, 18])] * 3)
    (said,) = runner.messages
    assert said.startswith(
        "the teacher may have collapsed: 'c' is 90 % of the pseudo labels and 10 % of the labels, 'a' is 5 % of the "
        'pseudo labels and 50 % of the labels, the distance of all shares is 0.80 '
        '(TeacherCollapseHook.max_class_distance=0.5): unless '
    )


def test_a_single_look_few_labels_and_near_shares_are_no_reason(watched):
    hook, runner = watched()
    far, near = ([5, 4, 1], [1, 1, 18]), ([5, 4, 1], [1, 4, 5])  # 0.8, 0.4
    intervals(hook, runner, far, near, far, near)
    assert runner.messages == []
    hook, runner = watched()
    few = ([1, 0, 0], [0, 1, 0])  # 10 an interval, and 30 are asked for: the third interval looks, then the sixth
    intervals(hook, runner, *[few] * 5)
    assert runner.messages == []
    intervals(hook, runner, few)
    assert len(runner.messages) == 1 and 'the distance of all shares is 1.00' in runner.messages[0]


def test_pseudo_labels_that_stop_are_said_and_those_that_never_came_are_not(watched):
    hook, runner = watched()
    intervals(hook, runner, *[([1, 1, 1], [0, 0, 0])] * 3)
    assert runner.messages == []
    hook.scores = []
    intervals(hook, runner, ([1, 1, 1], [2, 0, 1]), *[([1, 1, 1], [0, 0, 0])] * 4)
    (said,) = runner.messages
    assert 'no pseudo label in the last 20 iterations, 30 in the 10 before: continue from' in said


@pytest.mark.parametrize(
    'scores, sentence',
    [
        ([(0.2, 0.7), (0.3, 0.8)], r'mean score of 0\.25, those of the student 0\.75, on the same 2 .*too slowly'),
        ([(0.9, 0.3)], r'mean score of 0\.90, those of the student 0\.30, .*max_score_gap=0\.3\): the student forgets'),
        ([(0.9, 0.7), (0.3, 0.5)], None),
    ],
)
def test_scores_apart_from_the_students(watched, scores, sentence):
    hook, runner = watched()
    for _ in range(3):
        hook.scores = scores.copy()
        intervals(hook, runner, ([0, 0, 0], [0, 0, 0]))
    assert len(runner.messages) == (sentence is not None)
    assert all(re.search(sentence, said) for said in runner.messages)


def test_of_a_burn_in_and_on_other_processes_it_says_nothing(watched, fake_runner, make_model):
    hook, runner = watched()
    runner.model.unsup_weight = 0.0
    intervals(hook, runner, *[([5, 4, 1], [1, 1, 18])] * 3)
    assert runner.messages == [] and runner.model.tally.labeled.sum() == 0
    other = fake_runner(make_model(), rank=1, data_batch={})
    hook.before_run(other)
    hook.after_train_iter(other)
    assert other.model.tally is None


def test_what_is_out_of_range_is_refused():
    for settings in (dict(interval=0), dict(max_class_distance=1.5), dict(max_score_gap=-0.1)):
        with pytest.raises(ValueError, match=f'TeacherCollapseHook: {next(iter(settings))} is'):
            TeacherCollapseHook(**settings)


def step(model, batch):
    """The classes of labels and pseudo labels that a model counts in one step."""
    model.tally = ClassTally(3)
    model.train_step(batch)
    return model.tally.labeled.tolist(), model.tally.taught.tolist()


def test_soft_teacher_counts_the_classification_branchs_boxes(make_model, make_batch):
    model, seen = make_model(), []
    place = model.project_pseudo_labels
    model.project_pseudo_labels = lambda *args: seen.append(place(*args)) or seen[-1]
    labeled, taught = step(model, make_batch())
    own = [int(label) for boxes in seen[0].cls for label in boxes.labels]
    assert labeled == [1, 0, 1] and taught == [own.count(label) for label in range(3)] and sum(taught) > 2


def test_mean_teacher_counts_its_boxes_and_dense_teacher_none(detector_cfg, make_batch):
    settings = dict(pseudo_filter=dict(type='ScoreFilter', thr=0.4))
    model = MeanTeacher(detector_cfg, settings)
    lively(model)
    labeled, taught = step(model.train(), make_batch())
    assert labeled == [1, 0, 1] and sum(taught) > 2
    model = DenseTeacher(dense(detector_cfg, 'FCOS')).train()
    batch = make_batch()
    batch['unsup_student'] = batch['unsup_teacher']  # of one geometry
    assert step(model, batch) == ([1, 0, 1], [0, 0, 0])  # points are no boxes
    assert 0 <= surest_scores(model, batch['unsup_teacher'])[0] <= 1


def test_methods_of_label_maps_count_pixels():
    weak = view('unlabeled', False)
    views = dict(sup=view('labeled', False), unsup_teacher=weak, unsup_student=weak)
    pixels = 2 * 6 * 8  # every eighth of 48 x 64
    for kind, taught in ((MeanTeacherSegmentor, pixels), (FixMatch, pixels), (CrossPseudoSupervision, 2 * pixels)):
        settings = dict(threshold=0.0) if kind is FixMatch else {}
        model = kind(tiny_segmentor(), semi_train_cfg=settings).train()
        counts = step(model, views)
        assert [sum(each) for each in counts] == [pixels, taught], kind
        scores = surest_scores(model, weak)
        assert scores is None if kind is CrossPseudoSupervision else 1 / 3 < scores[0] <= 1
    model = FixMatch(tiny_segmentor(), semi_train_cfg=dict(threshold=0.8))
    found = Target(torch.full((1, 8, 16), 2), torch.full((1, 8, 16), 0.9))
    found.confidence[0, 0, 0] = 0.7
    assert model.taught_classes(found).tolist() == [[[255, 2]]]


def test_looking_changes_nothing_and_the_figures_are_those_of_the_test(make_model, make_batch, fake_runner):
    model, weak = make_model(), make_batch()['unsup_teacher']
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    scores = surest_scores(model, weak)
    assert torch.equal(torch.rand(2), drawn) and model.student.training and not model.teacher.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    for name, score in zip(('teacher', 'student'), scores, strict=True):
        model.predict_on = name
        found = model.simple_test(weak['img'][:1], weak['img_metas'][:1])[0]
        assert score == np.concatenate(found)[:, 4].max() > 0.3
    assert scores[0] != scores[1]


def test_a_short_training_says_it(tmp_path):
    """A teacher that never moves, and a student that learns much too fast."""
    config = tmp_path / 'fast.py'
    hook = dict(type='TeacherCollapseHook', interval=2, max_score_gap=0.001)
    config.write_text(f'_base_ = {SOFT_TEACHER!r}\ncustom_hooks = [{hook}]\n')
    few = {'data.samples_per_gpu': 2, 'train_scale': '[(64,64),(64,64)]', 'log_config.interval': 1}
    options = small(**few, **{'model.semi_train_cfg.ema.momentum': 1.0, 'optimizer.lr': 0.01, 'runner.max_iters': 4})
    call('tools/train.py', config, '--work-dir', tmp_path / 'run', '--seed', 0, '--no-validate', *options)
    (log,) = (tmp_path / 'run').glob('*.log')
    said = [line for line in log.read_text().splitlines() if 'may have collapsed' in line]
    assert len(said) == 1, said
    assert re.search(
        r'mean score of 0\.\d\d, those of the student 0\.\d\d, on the same 2 images .*=0\.001\): ', said[0]
    )
