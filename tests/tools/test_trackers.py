"""TensorBoard, W&B and MLflow, the real packages: a training tells all three the same, and goes on in the same runs."""

import json
import struct
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
from runs import SOFT_TEACHER, call, class_names, hook_of, taught

from ssod.apis.train import showing
from ssod.hooks import loggers

Scalars = dict[tuple[str, int], float]
Pictures = dict[tuple[str, int], np.ndarray]
OWN = {'_timestamp', '_runtime', '_step'}  # of W&B


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def told_tensorboard(folder: Path) -> tuple[Scalars, Pictures]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / 'tf_logs'), size_guidance=dict(scalars=0, images=0)).Reload()
    tags = events.Tags()
    assert not tags['tensors']
    scalars = [(tag, event) for tag in tags['scalars'] for event in events.Scalars(tag)]
    assert len({(tag, event.step, event.value) for tag, event in scalars}) == len({(t, e.step) for t, e in scalars})
    assert [event.step for event in events.Scalars('train/loss')] == [2, 4, 6]  # the fourth was done twice
    pictures = [(tag, event) for tag in tags['images'] for event in events.Images(tag)]
    return (
        {(tag, event.step): event.value for tag, event in scalars},
        {(tag, event.step): decoded(event.encoded_image_string) for tag, event in pictures},
    )


def wandb_records(path: Path):
    """The records of a file that W&B wrote offline: protocol buffers in LevelDB's format for logs."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, found = path.read_bytes(), 7, b''
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack('<IHB', data[place : place + 7])
        found += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(found)
            found = b''


def told_wandb(folder: Path) -> tuple[Scalars, Pictures]:
    scalars, pictures = {}, {}
    for run in sorted((folder / 'wandb').glob('offline-run-*')):
        for record in wandb_records(next(run.glob('*.wandb'))):
            row = {(item.key or '/'.join(item.nested_key)): json.loads(item.value_json) for item in record.history.item}
            for key, value in row.items():
                if key.endswith('/path'):
                    pictures[key.removesuffix('/path'), row['_step']] = decoded((run / 'files' / value).read_bytes())
                elif key.split('/')[0] not in OWN | {'pseudo_boxes'}:
                    assert scalars.setdefault((key, row['_step']), value) == value  # also where it was redone
    return scalars, pictures


def told_mlflow(folder: Path) -> tuple[Scalars, Pictures]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(folder / 'mlruns').as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name('ssod').experiment_id])
    assert run.info.status == 'FINISHED' and run.info.run_name == Path(SOFT_TEACHER).stem
    history = [point for key in run.data.metrics for point in client.get_metric_history(run.info.run_id, key)]
    pictures = {}
    for path in Path(run.info.artifact_uri.removeprefix('file://'), 'images').glob('*.png'):
        name, _, step, *_ = path.name.split('+')
        pictures[name, int(step)] = decoded(path.read_bytes())
    return {(point.key, point.step): point.value for point in history}, pictures


@pytest.fixture(scope='module')
def told(tmp_path_factory):
    """The work dir of four iterations, killed, and six: that goes on after the second; what each tracker was told."""
    for package in ('tensorboard', 'wandb', 'mlflow'):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp('trackers')
    every = {f'{hook_of("PseudoBoxImageHook")}.interval': 2}
    settings = dict(every, evaluation__interval=4, evaluation__record=False, checkpoint_config__interval=2)
    argv = [SOFT_TEACHER, '--work-dir', folder, '--seed', 0, '--tensorboard', '--wandb', '--mlflow']
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('WANDB_MODE', 'offline')
        patch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
        call('tools/train.py', *argv, *taught(runner__max_iters=4, **settings))
        runs = (folder / 'trackers.json').read_text()
        for path in [*folder.glob('best*'), *folder.glob('latest.pth'), folder / 'iter_4.pth']:
            path.unlink()
        call('tools/train.py', *argv, '--auto-resume', *taught(runner__max_iters=6, **settings))
        assert (folder / 'trackers.json').read_text() == runs
        yield folder, [told_tensorboard(folder), told_wandb(folder), told_mlflow(folder)]


def test_all_three_have_the_same_scalars_at_the_same_iterations(told):
    _, ((tensorboard, _), (wandb, _), (mlflow, _)) = told
    assert tensorboard.keys() == wandb.keys() == mlflow.keys()
    names = {name for name, _ in wandb}
    assert {'train/loss', 'train/num_pseudo_cls', 'learning_rate', 'momentum', 'val/student_bbox_mAP'} <= names
    assert {f'val/teacher_bbox_AP.{name}' for name in class_names()} <= names
    assert [step for name, step in sorted(wandb) if name == 'train/loss'] == [2, 4, 6]
    assert [step for name, step in sorted(wandb) if name == 'val/teacher_bbox_mAP'] == [4, 6]
    for key, value in wandb.items():
        assert mlflow[key] == value and tensorboard[key] == np.float32(value), key


def test_all_three_have_the_same_pictures(told):
    _, (tensorboard, wandb, mlflow) = told
    assert tensorboard[1].keys() == wandb[1].keys() == mlflow[1].keys() == {('pseudo_boxes', n) for n in (2, 4, 6)}
    for key, picture in tensorboard[1].items():
        assert picture.std() > 10
        np.testing.assert_array_equal(picture, wandb[1][key])
        np.testing.assert_array_equal(picture, mlflow[1][key])


def test_the_log_for_programs_has_each_class_and_the_lines_for_people_have_not(told):
    folder, ((scalars, _), *_) = told
    lines = [json.loads(line) for path in folder.glob('*.log.json') for line in path.read_text().splitlines()]
    values = [line for line in lines if line.get('mode') == 'val']
    assert sorted(line['iter'] for line in values) == [4, 4, 6]
    for line in values:
        own = {key: value for key, value in line.items() if key.startswith('teacher_bbox_AP.')}
        assert list(own) == [f'teacher_bbox_AP.{name}' for name in class_names()]
        assert all(np.float32(value) == scalars[f'val/{key}', line['iter']] for key, value in own.items())
        assert np.mean([*own.values()]) == pytest.approx(line['teacher_bbox_mAP'], abs=1e-4)
    text = ''.join(path.read_text() for path in folder.glob('*.log'))
    assert 'teacher_bbox_mAP: ' in text and 'bbox_AP.' not in text
    assert '| category |' in text  # MMDetection's table: there are few classes


def test_wandb_disabled(fake_runner, tmp_path, monkeypatch):
    pytest.importorskip('wandb').teardown()  # it would remember the mode of a run before
    monkeypatch.setenv('WANDB_MODE', 'disabled')
    runner = fake_runner(iter=1, mode='train', current_lr=lambda: [0.1], current_momentum=lambda: [0.9])
    hook = loggers.WandbLoggerHook(by_epoch=False)
    hook.before_run(runner)
    hook.show('pseudo_boxes', np.zeros((8, 8, 3), np.uint8), 1)
    hook.log(runner)
    hook.after_run(runner)
    assert hook.wandb.run is None and not (tmp_path / 'wandb').exists()


def test_a_run_that_fails_is_marked_and_the_next_is_another(fake_runner, tmp_path):
    mlflow = pytest.importorskip('mlflow')
    ids = []
    for failed in (True, False):
        hook = loggers.MlflowLoggerHook(exp_name='ssod', by_epoch=False)
        hook.before_run(fake_runner())
        ids.append(mlflow.active_run().info.run_id)
        hook.end(failed)
        assert mlflow.active_run() is None and not mlflow.is_tracking_uri_set()
    store = mlflow.MlflowClient(tracking_uri=(tmp_path / 'mlruns').as_uri())
    assert [store.get_run(run).info.status for run in ids] == ['FAILED', 'FINISHED'] and ids[0] != ids[1]


@pytest.mark.parametrize('error, ended', [(None, []), (SystemExit, [False]), (RuntimeError, [True])])
def test_whatever_ends_a_training_ends_the_run(fake_runner, error, ended):
    class Ended(loggers.Tracker):
        def end(self, failed: bool = True) -> None:
            said.append(failed)

        def show(self, *picture) -> None:
            """Nothing: none is shown."""

    said = []
    runner = fake_runner(hooks=[Ended()], register_hook=lambda *args, **kwargs: None)
    with pytest.raises(error) if error else nullcontext(), showing(runner, {}):
        if error:
            raise error
    assert said == ended  # of one that comes to its end, mmcv's `after_run` has done it


def test_a_sign_that_a_tracker_refuses_is_replaced_in_all(fake_runner):
    runner = fake_runner(mode='train', current_lr=lambda: [0.1], current_momentum=lambda: [0.9])
    runner.log_buffer.output.update({'AR@100': 0.5, 'bbox_AP.traffic light (red)': 0.25, 'text': '0.5 0.4'})
    tags = loggers.TensorboardLoggerHook().get_loggable_tags(runner, allow_text=True)
    assert tags == {'val/AR_100': 0.5, 'val/bbox_AP.traffic_light__red_': 0.25, 'learning_rate': 0.1, 'momentum': 0.9}
