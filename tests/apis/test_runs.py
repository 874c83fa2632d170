"""Trainings in processes of their own."""

import json
import os
import signal
import sys
import threading
import time

import pytest
from mmcv import Config

from ssod.apis import InputError
from ssod.apis.runs import StopRequest, alone_in, evaluated_at_end, read_log, run_script, run_training, show_progress
from ssod.hooks import Best

STEP = (
    '2026-11-21 07:02:20,113 - mmdet - INFO - Iter [50/1200]\tlr: 1.000e-03, eta: 0:04:08, time: 0.2, '
    'sup_loss_cls: 0.9, {extra}loss: 2.5512, grad_norm: 3.1'
)


@pytest.fixture
def stop():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield StopRequest()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    'extra, end',
    [
        ('', ''),
        ('num_pseudo_cls: 1.2500, unsup_weight: 0.0000, ', '   burn-in: labeled images alone'),
        ('num_pseudo_cls: 1.2600, unsup_weight: 2.0000, ', '   pseudo boxes per image 1.3'),
        ('num_pseudo_cls: 1.2600, ', '   pseudo boxes per image 1.3'),
    ],
)
def test_progress_of_a_step(capsys, extra, end):
    show_progress('run', STEP.format(extra=extra))
    assert capsys.readouterr().out == f'  run            50/1200   remaining 0:04:08   loss 2.55{end}\n'


def test_progress_of_an_evaluation_and_of_other_lines(capsys):
    show_progress('run', 'Iter(val) [4]\tstudent_bbox_mAP: 0.1234, student_bbox_mAP_50: 0.5, teacher_bbox_mAP: 0.2')
    show_progress('run', 'loading annotations into memory...')
    assert capsys.readouterr().out == '  run          student_bbox_mAP 12.3   teacher_bbox_mAP 20.0\n'


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
    code = f'import os; print({STEP.format(extra="")!r}); print(os.environ["OMP_NUM_THREADS"], os.environ["STAGE"])'
    for _ in range(2):
        run_training([sys.executable, '-c', code], {'STAGE': 'x'}, tmp_path / 'a/b', 'run', 3, stop)
    assert (tmp_path / 'a/b/output.txt').read_text().splitlines()[1::2] == ['3 x', '3 x']
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
