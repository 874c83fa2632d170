import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from runs import (
    BASELINE,
    ENV,
    ROOT,
    SOFT_TEACHER,
    assert_same,
    call,
    class_names,
    hook_of,
    small,
    taught,
    trained_baseline,
    weights,
)

from ssod.apis.checks import run_command


def start(config, work_dir, log, *options):
    """Start tools/train.py as a process; when it ends normally it says whether wandb was imported."""
    code = (
        'import atexit, runpy, sys; atexit.register(lambda: print("wandb:", "wandb" in sys.modules)); '
        'sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")'
    )
    command = [sys.executable, '-c', code, 'tools/train.py', config, '--work-dir', str(work_dir), '--seed', '0']
    return subprocess.Popen([*command, *options], cwd=ROOT, env=ENV, stdout=log, stderr=subprocess.STDOUT)


def wait_for(condition, process, seconds=280):
    end = time.time() + seconds
    while not condition():
        assert process.poll() is None, 'the run has ended'
        assert time.time() < end, 'the run takes too long'
        time.sleep(0.05)


def test_run_leaves_logs_checkpoints_and_pictures(work_dir):
    assert torch.load(work_dir / 'iter_8.pth')['meta']['CLASSES'] == class_names()
    assert (work_dir / 'soft_teacher_r18_shapes.py').is_file()
    assert sorted(path.name for path in (work_dir / 'pseudo_boxes').iterdir()) == ['iter_4.jpg', 'iter_8.jpg']
    lines = [json.loads(line) for line in next(work_dir.glob('*.log.json')).read_text().splitlines()]
    train = [line for line in lines if line.get('mode') == 'train']
    assert [line['iter'] for line in train] == [2, 4, 6, 8]
    assert train[0]['unsup_loss_cls'] == 0 and train[-1]['unsup_loss_cls'] > 0
    assert {'sup_loss_bbox', 'num_pseudo_candidates', 'teacher_score', 'ema_momentum', 'grad_norm'} <= set(train[-1])
    assert {'student_bbox_mAP', 'teacher_bbox_mAP'} <= set(lines[-1])
    text = next(work_dir.glob('*.log')).read_text()
    assert 'eta: ' in text and 'KaimingInit' not in text


def test_killed_run_resumes_to_the_same_weights_with_any_number_of_workers(work_dir, tmp_path):
    with open(tmp_path / 'log', 'w') as log:
        process = start(SOFT_TEACHER, tmp_path, log, *taught(runner__max_iters=1000, data__workers_per_gpu=2))
        wait_for((tmp_path / 'latest.pth').exists, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    options = taught(data__workers_per_gpu=2)
    call('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, '--seed', 0, '--auto-resume', *options)
    assert 'resumed' in max(tmp_path.glob('*.log')).read_text()
    assert_same(weights(work_dir, 8), weights(tmp_path, 8))


def test_sigterm_saves_and_says_how_to_continue_and_the_log_is_quiet(tmp_path):
    with open(tmp_path / 'log', 'w') as log:
        process = start(BASELINE, tmp_path, log, *small(runner__max_iters=5000, checkpoint_config__interval=5000))
        wait_for(lambda: 'Iter [' in (tmp_path / 'log').read_text(), process)
        process.terminate()
        assert process.wait(timeout=60) == 143
    text = (tmp_path / 'log').read_text()
    assert 'SIGTERM: saved iteration' in text and '--auto-resume' in text
    assert (tmp_path / 'latest.pth').exists()
    assert 'wandb: False' in text
    for noise in ('January 1, 2023', 'No CUDA runtime', 'KaimingInit', 'Traceback'):
        assert noise not in text


def test_best_score_and_loss_scale_survive_a_resume(tmp_path):
    checkpoint = torch.load(trained_baseline() / 'iter_2.pth')
    checkpoint['meta']['fp16'] = {'scale': 7.0}
    checkpoint['meta']['hook_msgs'] = {'best_score': 0.9, 'best_ckpt': 'none'}
    torch.save(checkpoint, tmp_path / 'from.pth')
    options = small(
        runner__max_iters=3, checkpoint_config__interval=3, evaluation__interval=3, evaluation__save_best='bbox_mAP'
    )
    call('tools/train.py', BASELINE, '--work-dir', tmp_path, '--resume-from', tmp_path / 'from.pth', *options)
    meta = torch.load(tmp_path / 'iter_3.pth')['meta']
    assert meta['hook_msgs']['best_score'] == 0.9 and meta['fp16'] == {'scale': 7.0}
    assert not list(tmp_path.glob('best_*'))


def test_tensorboard(tmp_path):
    pytest.importorskip('tensorboard')
    options = taught(runner__max_iters=4, **{f'{hook_of("PseudoBoxImageHook")}__interval': 4})
    call('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, '--tensorboard', '--no-validate', *options)
    (events,) = (tmp_path / 'tf_logs').glob('events*')
    assert b'pseudo_boxes' in events.read_bytes() and b'train/sup_loss_cls' in events.read_bytes()


def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip('wandb')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    options = taught(runner__max_iters=4, **{f'{hook_of("PseudoBoxImageHook")}__interval': 4})
    call('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, '--wandb', '--no-validate', *options)
    runs = list((tmp_path / 'wandb').glob('offline-run-*'))
    assert len(runs) == 1 and list(runs[0].glob('*.wandb'))
    assert list((runs[0] / 'files/media/images').glob('pseudo_boxes*'))
    assert (tmp_path / 'iter_4.pth').is_file()


def test_a_bug_keeps_its_traceback():
    def main():
        raise ValueError('a bug')

    with pytest.raises(ValueError, match='a bug'):
        run_command(main)
