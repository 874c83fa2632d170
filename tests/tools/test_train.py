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
    refusal,
    small,
    taught,
    trained_baseline,
    weights,
)

from ssod.apis import load_config
from ssod.apis.checks import run_command
from ssod.hooks.best import Best

PAGE = {'progress.json', 'report.html', 'run.json'}


def start(config, work_dir, log, *options):
    """Start tools/train.py as a process; when it ends normally it says whether TensorBoard was imported."""
    code = (
        'import atexit, runpy, sys; atexit.register(lambda: print("logger:", "tensorboard" in sys.modules)); '
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


MASK_DETECTORS = ['mask_rcnn', *(pytest.param(name, marks=pytest.mark.long) for name in ('cascade_mask_rcnn', 'htc'))]


@pytest.mark.parametrize('detector', MASK_DETECTORS)
def test_masks_cascades_and_htc_train_and_are_evaluated(tmp_path, detector):
    """A few pseudo boxes with masks of a detector that knows nothing yet; student and teacher, masks and boxes."""
    config = str(ROOT / f'configs/demo/soft_teacher_{detector}_r18_shapes.py')
    semi, test = 'model.semi_train_cfg', 'model.detector.test_cfg.rcnn.max_per_img'
    thresholds = {f'{semi}.{name}_filter.thr': 0.0 for name in ('rpn', 'cls', 'mask')}
    settings = {f'{semi}.candidate_score_thr': 0.0, test: 5, 'runner.max_iters': 4, 'evaluation.interval': 4}
    call('tools/train.py', config, '--work-dir', tmp_path, '--seed', 0, *taught(**settings, **thresholds))
    lines = [json.loads(line) for line in next(tmp_path.glob('*.log.json')).read_text().splitlines()]
    found, last = [line for line in lines if line.get('mode') == 'train'][-1], lines[-1]
    masks = [name for name in found if name.startswith('unsup_') and name.endswith('loss_mask')]
    assert len(masks) == (1 if detector == 'mask_rcnn' else 3)
    assert found['num_pseudo_mask'] > 1 and all(found[name] > 0 and found[f'sup_{name[6:]}'] > 0 for name in masks)
    if detector == 'htc':
        assert found['sup_loss_semantic_seg'] > 0 and found['unsup_loss_semantic_seg'] == 0
    assert {f'{model}_{kind}_mAP' for model in ('student', 'teacher') for kind in ('segm', 'bbox')} <= set(last)
    assert Best.read(tmp_path).metric == 'segm_mAP'
    assert (tmp_path / 'pseudo_boxes/iter_4.jpg').is_file()


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
    assert 'logger: False' in text
    for noise in ('January 1, 2023', 'No CUDA runtime', 'KaimingInit', 'Traceback'):
        assert noise not in text


def test_a_second_run_and_a_refused_one_leave_the_folder_as_it_is(tmp_path):
    def content():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir() if 'log' not in path.name}

    options = small(runner__max_iters=2, checkpoint_config__interval=2)
    call('tools/train.py', BASELINE, '--work-dir', tmp_path, '--seed', 0, '--no-validate', *options)
    before = content()
    assert set(before) == {'faster_rcnn_r18_shapes.py', 'iter_2.pth', 'latest.pth', *PAGE}
    command = ['tools/train.py', BASELINE, '--work-dir', tmp_path, '--seed', 1, '--no-validate']
    said = refusal(*command, *options)
    assert f'{tmp_path} holds the checkpoints of another run, iter_2.pth the last: continue it with --auto-res' in said
    for setting, sentence in (
        ('model.neck.out_channels=7', 'another shape'),  # found last, when the checkpoint is read
        ('optimizer.lr=x', 'optimizer'),
    ):
        assert sentence in refusal(*command, '--auto-resume', *options, setting)
        assert content() == before


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


def test_a_bug_keeps_its_traceback():
    def main():
        raise ValueError('a bug')

    with pytest.raises(ValueError, match='a bug'):
        run_command(main)


def test_accumulated_to_the_base_batch_scaled_and_resumed(tmp_path):
    """4 images an iteration for the 8 of `base_batch`: a step of two, twice the iterations, the same lr and EMA."""
    options = taught(optimizer_config__cumulative_iters=2, runner__max_iters=4, checkpoint_config__interval=2)
    for folder in ('whole', 'resumed'):
        command = [SOFT_TEACHER, '--work-dir', tmp_path / folder, '--seed', 0, '--auto-scale', *options]
        if folder == 'resumed':
            command += ['evaluation.interval=4', f'resume_from={tmp_path / "whole/iter_4.pth"}']
        call('tools/train.py', *command)
    text = next((tmp_path / 'whole').glob('*.log')).read_text()
    assert (
        'auto_scale: for steps of 4 labeled + 4 unlabeled images, this run has 4 labeled + 4 unlabeled: 1 times' in text
    )
    assert (
        'effective: 4 labeled + 4 unlabeled images per step (1 process x 4 images x 2 iterations), AdamW lr 0.001, '
        '8 iterations = 4 steps, 2.7 epochs over 6 labeled and 0.9 over 18 unlabeled images, '
        'burn-in 4 iterations + 0 to the full weight, EMA 0.995: 200 steps'
    ) in text
    assert_same(weights(tmp_path / 'whole', 8), weights(tmp_path / 'resumed', 8))
    best = Best.read(tmp_path / 'whole')
    assert best.iteration == 8 and (tmp_path / 'whole' / best.checkpoint).is_file()
    recorded = load_config(str(tmp_path / 'whole/soft_teacher_r18_shapes.py'))
    assert recorded.auto_scale is False and recorded.base_batch == dict(labeled=4, unlabeled=4)
    assert recorded.runner.max_iters == 8


def test_a_schedule_that_does_not_fit_the_run_is_a_sentence(tmp_path):
    said = refusal('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, *small())
    assert 'the burn-in of 400 iterations leaves nothing of the run (runner.max_iters=8)' in said
    said = refusal('tools/train.py', BASELINE, '--work-dir', tmp_path, *small(optimizer_config__cumulative_iters=3))
    assert 'checkpoint_config.interval=4 falls into a step of 3 iterations' in said
