"""Trainings in processes of their own."""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace

import pytest
from mmcv import Config

from ssod.apis import InputError
from ssod.apis.runs import Follower, StopRequest, alone_in, evaluated_at_end, read_log, run_script, run_training
from ssod.core.look import step_line
from ssod.core.progress import Progress
from ssod.hooks import Best

STEP = Progress('training', iteration=50, max_iters=1200, seconds_left=248.9, losses=dict(loss=2.5512))
# What a training does that this test is not about.
WRITE = 'from ssod.core.progress import *; import os, time; '


@pytest.fixture
def stop():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield StopRequest()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    'figures, end',
    [
        ({}, ''),
        (dict(num_pseudo_cls=1.25, unsup_weight=0.0), '   burn-in: labeled images alone'),
        (dict(num_pseudo_cls=1.26, unsup_weight=2.0), '   pseudo boxes per image 1.3'),
        (dict(num_pseudo_cls=1.26), '   pseudo boxes per image 1.3'),
        (dict(confident_share=0.255), '   confident_share 0.26'),
    ],
)
def test_the_line_of_a_step(figures, end):
    said = step_line('run', replace(STEP, figures=figures))
    assert said == f'  run            50/1200   remaining 0:04:08   loss 2.55{end}'


def test_what_is_followed_is_said_once(tmp_path, capsys):
    follower = Follower(tmp_path / 'progress.json', 'run')
    follower.look()
    STEP.write(follower.path)
    follower.look()
    follower.look()
    scores = dict(student_bbox_mAP=0.1234, teacher_bbox_mAP=0.2)
    for what in ('evaluating the student', 'training'):
        replace(STEP, what=what, metrics=scores, evaluated_at=50).write(follower.path)
        follower.look()
    follower.path.write_text('cut')
    follower.look(at_end=True)
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ['run', '50/1200']
    assert second == '  run          student_bbox_mAP 12.3   teacher_bbox_mAP 20.0'
    again = Follower(tmp_path / 'progress.json', 'run')
    STEP.write(again.path)
    again = Follower(again.path, 'run')  # the file of an earlier start says nothing of this one
    again.look()
    assert capsys.readouterr().out == ''


def test_a_log_of_two_starts_is_read_by_iteration_and_the_later_start_counts(tmp_path):
    def write(name, *entries):
        (tmp_path / name).write_text(''.join(json.dumps(entry) + '\n' for entry in entries))

    train = [dict(mode='train', iter=i, loss=i) for i in (2, 4)]
    write('20260101_000000.log.json', dict(seed=0), *train, dict(mode='val', iter=4, mAP=1))
    write('20260102_000000.log.json', dict(seed=0), dict(mode='train', iter=4, loss=7), dict(mode='train', iter=6))
    log = read_log(tmp_path)
    assert [(entry['iter'], entry.get('loss')) for entry in log['train']] == [(2, 2), (4, 7), (6, None)]
    assert log['val'] == [dict(mode='val', iter=4, mAP=1)]
    assert read_log(tmp_path / 'nowhere') == {'train': [], 'val': []}


@pytest.mark.parametrize(
    'iters, best, patience, done',
    [
        ((4, 8), None, None, False),
        ((4, 8, 10), None, None, True),
        ((2, 4, 6), 2, 2, True),  # two evaluations without a new best: the run has ended itself
        ((2, 4, 6), 4, 2, False),
        ((2, 4, 6), 2, None, False),
        ((2, 4), None, 2, False),
        ((), None, 2, False),
    ],
)
def test_a_run_is_finished_at_its_end_or_when_its_patience_is(tmp_path, iters, best, patience, done):
    lines = [json.dumps(dict(mode='val', iter=iteration)) for iteration in iters]
    (tmp_path / '1.log.json').write_text('\n'.join(lines))
    if best:
        Best('bbox_mAP', 0.5, best, 'student', 'best.pth').write(tmp_path)
    cfg = Config(dict(runner=dict(max_iters=10), evaluation=dict(interval=2, patience=patience)))
    last = evaluated_at_end(tmp_path, cfg)
    assert last == (dict(mode='val', iter=iters[-1]) if done else None)


def test_output_environment_and_progress_of_a_training(tmp_path, stop, capsys, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS')
    step = "Progress('training', iteration=50, max_iters=1200, losses=dict(loss=2.55)).write(*follower())"
    code = f'{WRITE}{step}; time.sleep(0.6); print(os.environ["OMP_NUM_THREADS"], os.environ["STAGE"])'
    for _ in range(2):
        run_training([sys.executable, '-c', code], {'STAGE': 'x'}, tmp_path / 'a/b', 'run', 3, stop)
    assert (tmp_path / 'a/b/output.txt').read_text().splitlines() == ['3 x', '3 x']
    assert capsys.readouterr().out.count('50/1200') == 2
    assert stop.processes == []


def test_a_failure_says_how_the_output_ends(tmp_path, stop):
    code = 'import sys; [print(i) for i in range(9)]; sys.exit("error: no disk")'
    with pytest.raises(InputError) as error:
        run_training([sys.executable, '-c', code], {}, tmp_path, 'run', 1, stop)
    assert str(error.value).splitlines()[1:] == ['5', '6', '7', '8', 'error: no disk']
    with pytest.raises(InputError, match='lost.py failed:\n.*No such file'):
        run_script(tmp_path / 'lost.py')


def test_sigterm_ends_the_training_and_no_other_starts(tmp_path, stop):
    ready, done = tmp_path / 'ready', tmp_path / 'done'
    code = f'import time; open({str(ready)!r}, "w"); time.sleep(60); open({str(done)!r}, "w")'

    def kill():
        while not ready.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=kill)
    thread.start()
    run_training([sys.executable, '-c', code], {}, tmp_path, 'run', 1, stop)
    thread.join()
    assert stop.received and not done.exists()
    ready.unlink()
    run_training([sys.executable, '-c', code], {}, tmp_path, 'run', 1, stop)
    assert not ready.exists()


def test_a_second_process_waits_for_the_first_or_for_a_signal(tmp_path, stop):
    order = []

    def wait():
        with alone_in(tmp_path, stop):
            order.append('second')

    with alone_in(tmp_path, stop):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()
        order.append('first')
    thread.join()
    assert order == ['first', 'second']
    stop.received = True
    with alone_in(tmp_path, stop), alone_in(tmp_path, stop):
        pass
