"""Progress as a file, as lines, and as rich draws it."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from ssod.core.look import of_run, of_runs, step_line
from ssod.core.progress import Progress, losses_by_group, main_metrics

RUN = Progress(
    'training', done=350, total=1200, iteration=350, max_iters=1200, seconds_left=190.4,
    losses=dict(labeled=1.25, unlabeled=0.5, loss=1.75),
    figures=dict(num_pseudo_cls=2.42, unsup_weight=2.0, lr=0.001, time=0.21, data_time=0.01),
    metrics=dict(student_bbox_mAP=0.123, teacher_bbox_mAP=0.201), evaluated_at=300,
    best='best so far: teacher_bbox_mAP 20.1 at iteration 300',
)  # fmt: skip


def drawn(what, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(what)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_losses_by_group():
    entry = dict(sup_loss_cls=1.0, sup_loss_bbox=0.5, unsup_loss_cls=0.25, unsup_acc=90.0, loss=1.75, lr=0.1)
    assert losses_by_group(entry) == dict(labeled=1.5, unlabeled=0.25, loss=1.75)
    assert losses_by_group({'decode.loss_ce': 1.0, 'aux.loss_ce': 0.5}) == dict(other=1.5)
    assert losses_by_group(dict(lr=0.1)) == {}


def test_metrics_that_tell_models_apart():
    metrics = dict(student_bbox_mAP=0.1, student_bbox_mAP_50=0.2, teacher_segm_mAP=0.3, mIoU=0.4, aAcc=0.5)
    metrics |= {'student_bbox_mAP_copypaste': '0.1 0.2', 'IoU.sky': 0.6}
    assert main_metrics(metrics) == dict(student_bbox_mAP=0.1, teacher_segm_mAP=0.3, mIoU=0.4)


def test_a_file_comes_back_as_it_went_and_a_damaged_one_is_none(tmp_path):
    path = tmp_path / 'a/progress.json'
    RUN.write(path, path)
    found = Progress.read(path)
    assert found.written > 0 and replace(found, written=0.0) == RUN
    assert [file.name for file in path.parent.iterdir()] == ['progress.json']
    for content in ('', '{"what": "training", "more": 1}', '[1]'):
        path.write_text(content)
        assert Progress.read(path) is None
    assert Progress.read(tmp_path / 'nowhere') is None
    RUN.write(path / 'below_a_file', tmp_path / 'b.json')  # one that cannot be written
    assert Progress.read(tmp_path / 'b.json') is not None


def test_one_run():
    first, *rest = drawn(of_run(RUN))
    assert first.startswith('iteration 350/1200 ') and first.endswith(' 0:03:10 left') and '━' in first
    assert rest == [
        '  loss 1.750   labeled 1.250   unlabeled 0.500',
        '  pseudo boxes per image 2.4',
        '  0.21 s per iteration, 0.01 s of it for data   lr 0.001',
        '  student_bbox_mAP 12.3   teacher_bbox_mAP 20.1',
        '  best so far: teacher_bbox_mAP 20.1 at iteration 300',
    ]
    assert [line.split()[0] for line in drawn(of_run(Progress('training')))] == ['iteration']


def test_several_runs_are_a_row_each():
    rows = {'baseline 0': replace(RUN, figures={}), 'labels [0]': Progress('labeling', done=3, total=9)}
    first, second = drawn(of_runs(rows), 140)
    assert first.split()[:2] == ['baseline', '0'] and '350/1200  0:03:10 left  student_bbox_mAP 12.3' in first
    assert second.startswith('labels [0]') and second.endswith('labeling')


@pytest.mark.parametrize('figures, said', [({}, ''), (dict(num_pseudo=1.5), '   num_pseudo 1.50')])
def test_the_line_of_a_step(figures, said):
    assert step_line('run', replace(RUN, figures=figures)).endswith(f'350/1200   remaining 0:03:10   loss 1.75{said}')
