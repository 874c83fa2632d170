"""What the other tests run on a CPU, run on a GPU. `make test TEST_ARGS="-m gpu"` runs all that is marked so."""

import json

import detectors
import pytest
import torch
from detectors import dense
from runs import SOFT_TEACHER, call, shell, small, taught, weights

from ssod.apis import load_config
from ssod.apis.auto_batch import StepProbe
from ssod.apis.config import Options
from ssod.detection import DenseTeacher, MeanTeacher

pytestmark = pytest.mark.gpu


def on_gpu(value):
    """A batch with its tensors on the GPU."""
    if isinstance(value, dict):
        return {key: on_gpu(item) for key, item in value.items()}
    if isinstance(value, list):
        return [on_gpu(item) for item in value]
    return value.cuda() if isinstance(value, torch.Tensor) else value


MAKE = [lambda cfg: cfg, detectors.mask_rcnn, detectors.cascade_mask_rcnn, detectors.hybrid_task_cascade]


@pytest.mark.parametrize('make', MAKE, ids=['faster', 'mask', 'cascade', 'htc'])
def test_a_training_step_gives_the_losses_and_gradients_of_a_cpu(make_model, make_batch, detector_cfg, make):
    results = []
    for move in (lambda value: value, on_gpu):
        # Jitter is drawn on the device, another draw there: a filter on scores keeps both alike.
        model = move_model(make_model(make(detector_cfg), reg_filter=dict(type='ScoreFilter', thr=0.5)), move)
        batch = make_batch()
        if make is not MAKE[0]:
            batch['sup'] = detectors.with_masks(batch['sup'])
            if make is not detectors.hybrid_task_cascade:
                del batch['sup']['gt_semantic_seg']
        result = model.train_step(move(batch))
        result['loss'].backward()
        norms = {name: p.grad.norm().item() for name, p in model.student.named_parameters() if p.grad is not None}
        results.append((result['log_vars'], norms))
    for cpu, gpu in zip(*results, strict=True):
        assert gpu == pytest.approx(cpu, rel=1e-2, abs=1e-4)


@pytest.mark.parametrize('method', [MeanTeacher, DenseTeacher])
@pytest.mark.parametrize('kind', ['FCOS', 'ATSS', 'GFL'])
def test_a_dense_heads_step_gives_the_losses_of_a_cpu(detector_cfg, make_view, kind, method):
    results = []
    for move in (lambda value: value, on_gpu):
        torch.manual_seed(0)
        settings = dict(pseudo_filter=dict(type='RankThresholdFilter')) if method is MeanTeacher else {}
        model = move_model(method(dense(detector_cfg, kind), settings).train(), move)
        sup = dict(make_view(['s']), gt_bboxes=[torch.tensor([[10.0, 10, 60, 70]])], gt_labels=[torch.tensor([1])])
        batch = dict(sup=sup, unsup_teacher=make_view(['u']), unsup_student=make_view(['u']))
        results.append(model.train_step(move(batch))['log_vars'])
    assert results[1] == pytest.approx(results[0], rel=1e-2, abs=1e-4)


def move_model(model, move):
    return model.cuda() if move is on_gpu else model


def test_a_run_in_half_precision_and_its_resume(tmp_path):
    options = taught(fp16="dict(loss_scale='dynamic')")
    call('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, '--seed', 0, *options)
    (tmp_path / 'latest.pth').unlink()
    call('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, '--resume-from', tmp_path / 'iter_4.pth', *options)
    logs = [json.loads(line) for path in sorted(tmp_path.glob('*.log.json')) for line in path.read_text().splitlines()]
    losses = [entry['loss'] for entry in logs if entry.get('mode') == 'train']
    assert len(losses) == 6 and losses[4:] == pytest.approx(losses[2:4], rel=0.05)
    assert all(value.isfinite().all() for value in weights(tmp_path, 8).values() if value.is_floating_point())


def test_a_run_over_nccl(tmp_path):
    done = shell('bash', 'tools/dist_train.sh', SOFT_TEACHER, 1, '--work-dir', tmp_path, '--seed', 0, *taught())
    assert done.returncode == 0, done.stdout
    assert 'GPU' in done.stdout and (tmp_path / 'iter_8.pth').exists()


def test_auto_batch_sees_that_a_batch_is_too_large():
    pairs = (option.split('=', maxsplit=1) for option in small()[1:])
    probe = StepProbe(load_config(SOFT_TEACHER, {key: Options._parse_iterable(value) for key, value in pairs}))
    assert probe(1, 1) and not probe(20000, 20000)


def test_auto_batch_trains(tmp_path):
    call('tools/train.py', SOFT_TEACHER, '--auto-batch', '--work-dir', tmp_path, '--seed', 0, *taught())
    assert 'auto_batch: 8 images of the largest size fit' in next(tmp_path.glob('*.log')).read_text()
