"""A training as Python code starts it."""

import copy
import json
import os
import signal
import threading
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmcv.fileio.file_client import HardDiskBackend
from mmcv.runner import HOOKS, Hook
from runs import BASELINE, SOFT_TEACHER, shapes, small, taught

from ssod.apis import load_config, train, train_detector
from ssod.apis.config import Options
from ssod.hooks import SemiEvalHook

ONE_STEP = dict(runner__max_iters=1, checkpoint_config__interval=1, log_config__interval=1)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """``config(path, options)``: a config of a tiny run, without what takes seconds."""
    monkeypatch.setattr(train, 'record_config', lambda cfg, logger: '')
    monkeypatch.setattr('mmcv.runner.iter_based_runner.time.sleep', lambda seconds: None)

    def make(path, options, validate=False):
        parsed = [option.split('=', maxsplit=1) for option in options[1:]]
        cfg = load_config(path, {key: Options._parse_iterable(value) for key, value in parsed}, str(tmp_path))
        if not validate:
            cfg.pop('evaluation')
        return cfg

    return make


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def test_in_another_thread_and_the_handlers_stay(config):
    cfg, before, runners = config(BASELINE, small(**ONE_STEP)), handlers(), []
    thread = threading.Thread(target=lambda: runners.append(train_detector(cfg, seed=0)))
    thread.start()
    thread.join()
    assert runners[0].iter == 1 and handlers() == before


class Interrupt(Hook):
    """Does ``act`` in an iteration, before the evaluation of that iteration."""

    act = staticmethod(lambda: None)

    def after_train_iter(self, runner):
        self.act()


@pytest.fixture
def interrupt(monkeypatch):
    """``interrupt(act)``: the hook's config."""
    HOOKS.register_module(Interrupt, force=True)
    yield lambda act: monkeypatch.setattr(Interrupt, 'act', staticmethod(act)) or [dict(type='Interrupt')]
    HOOKS.module_dict.pop('Interrupt')


def test_handlers_are_back_after_a_run_that_died(config, interrupt):
    def die():
        assert signal.getsignal(signal.SIGTERM) != before[0]
        raise RuntimeError('out of memory')

    cfg, before = config(BASELINE, small(**ONE_STEP)), handlers()
    cfg.custom_hooks = interrupt(die)
    with pytest.raises(RuntimeError, match='out of memory'):
        train_detector(cfg, seed=0)
    assert handlers() == before


def test_sigterm_just_before_an_evaluation_is_answered_before_it(config, interrupt, tmp_path, monkeypatch):
    evaluated = []
    monkeypatch.setattr(SemiEvalHook, '_do_evaluate', lambda self, runner: evaluated.append(runner.iter))
    cfg, before = config(BASELINE, small(runner__max_iters=9, evaluation__interval=1), validate=True), handlers()
    cfg.custom_hooks = interrupt(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as stopped:
        train_detector(cfg, seed=0, timestamp='now')
    assert stopped.value.code == 143 and evaluated == [] and handlers() == before
    assert (tmp_path / 'iter_1.pth').exists()


def test_a_step_on_two_ranks_reduces_once_on_the_group_of_the_device(config, on_two_ranks):
    # Statistics of BatchNorm layers that train are averaged too, but no host waits for them.
    frozen = dict(model__detector__backbone__norm_eval=True)
    cfg = config(SOFT_TEACHER, taught(runner__max_iters=3, data__samples_per_gpu=2, **frozen))

    def run(rank):
        reductions, reduce = [], dist.all_reduce

        def counted(tensor, op=dist.ReduceOp.SUM, group=None, async_op=False):
            reductions.append(group is None or group is dist.group.WORLD)
            return reduce(tensor, op, group, async_op)

        dist.all_reduce = counted  # in this process, which ends
        train_detector(cfg, seed=0, distributed=True)
        return torch.tensor([sum(reductions), len(reductions) - sum(reductions)])

    assert [values.tolist() for values in on_two_ranks(run)] == [[3, 3]] * 2  # losses to log; the stop flag


@pytest.mark.parametrize('asked', [False, True])
def test_find_unused_parameters_is_done(gloo, asked):
    model = train.parallelize(torch.nn.Linear(2, 2), True, asked)
    assert model.find_unused_parameters is asked and model.broadcast_buffers is False


def test_perfect_detections_score_1_on_a_validation_file_of_another_order(config, tmp_path, monkeypatch):
    data = json.loads((shapes() / 'annotations/instances_val.json').read_text())
    data['categories'].reverse()
    (tmp_path / 'val.json').write_text(json.dumps(data))
    names = {category['id']: category['name'] for category in data['categories']}
    seen = {}

    def perfect(model, loader):
        """Each image's true boxes, as the classes of the model number them."""
        classes, results = list(model.module.CLASSES), []
        for info in loader.dataset.data_infos:
            found = [torch.zeros(0, 5).numpy() for _ in classes]
            for ann in data['annotations']:
                if ann['image_id'] == info['id']:
                    x, y, w, h = ann['bbox']
                    label = classes.index(names[ann['category_id']])
                    box = torch.tensor([[x, y, x + w, y + h, 1.0]]).numpy()
                    found[label] = torch.cat([torch.tensor(found[label]), torch.tensor(box)]).numpy()
            results.append(found)
        return results

    monkeypatch.setattr('ssod.hooks.evaluation.run_test', perfect)
    monkeypatch.setattr(SemiEvalHook, '_save_best', lambda self, runner, metrics: seen.update(metrics))
    options = small(data__val__ann_file=tmp_path / 'val.json', evaluation__interval=1, **ONE_STEP)
    train_detector(config(BASELINE, options, validate=True), seed=0)
    assert seen['bbox_mAP'] == 1.0


def test_a_checkpoint_comes_after_the_log_line_of_its_iteration_and_a_kill_inside_its_write_keeps_the_line(
    config, tmp_path, monkeypatch
):
    steps = dict(runner__max_iters=4, checkpoint_config__interval=1, evaluation__interval=2, log_config__interval=1)
    cfg = config(BASELINE, small(**steps), validate=True)
    own, seen = HardDiskBackend.put, {}

    def lines(start, mode):
        entries = map(json.loads, (tmp_path / f'{start}.log.json').read_text().splitlines())
        return [entry['iter'] for entry in entries if entry.get('mode') == mode]

    def put(self, content, path):
        name = Path(path).name.split('-', 2)[-1]
        seen[name] = lines('first', 'train')
        if name == 'iter_3.pth':
            Path(path).write_bytes(content[: len(content) // 2])
            raise KeyboardInterrupt
        own(self, content, path)

    with monkeypatch.context() as patch:
        patch.setattr(HardDiskBackend, 'put', put)
        with pytest.raises(KeyboardInterrupt):
            train_detector(copy.deepcopy(cfg), seed=0, timestamp='first')
    assert [seen[f'iter_{i}.pth'] for i in (1, 2, 3)] == [[1], [1, 2], [1, 2, 3]]
    assert {path.name for path in tmp_path.glob('iter_*.pth')} == {'iter_1.pth', 'iter_2.pth'}
    cfg.auto_resume = True
    train_detector(cfg, seed=0, timestamp='second')
    assert lines('first', 'val') == [2] and lines('second', 'train') == [3, 4] and lines('second', 'val') == [4]
    metrics = json.loads((tmp_path / 'second.log.json').read_text().splitlines()[-1])
    assert 'bbox_mAP' in metrics and 'time' not in metrics
