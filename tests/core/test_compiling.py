"""Compiled backbones and necks: one graph for each size, the same losses, the same names."""

import copy

import pytest
import torch
from runs import SOFT_TEACHER, call, taught
from torch._dynamo.utils import counters
from torch.nn import functional as F

from ssod.apis.train import prepare_for_training
from ssod.core.compiling import check_compile
from ssod.core.errors import InputError
from ssod.core.task import TASKS

SIZES = [(1344, 800), (800, 1344)]


@pytest.fixture
def graphs():
    """``graphs()``: how many PyTorch has made since the test began."""
    torch._dynamo.reset()
    counters.clear()
    yield lambda: counters['stats']['unique_graphs']
    torch._dynamo.reset()


def test_one_graph_per_bucket_and_network_and_the_losses_stay(graphs):
    """Student and teacher, each a backbone and a neck; labeled and unlabeled batches are of one image."""
    plain, batch = TASKS['detection'].trial()
    compiled = copy.deepcopy(plain)
    names = list(compiled.state_dict())
    prepare_for_training(TASKS['detection'], plain)
    prepare_for_training(TASKS['detection'], compiled, backend='eager')
    assert list(compiled.state_dict()) == names
    buckets = [F.pad, lambda image, _: F.pad(image, (0, 32)), lambda image, _: F.pad(image, (0, 0, 0, 32))]
    for seen, pad in enumerate(buckets, 1):
        padded = {name: {**view, 'img': pad(view['img'], (0, 0))} for name, view in batch.items()}
        for _ in range(2):
            torch.manual_seed(0)
            losses = compiled(**padded)
            assert graphs() == 4 * seen
        torch.manual_seed(0)
        for name, value in plain(**padded).items():
            torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-6)
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        assert not counters['graph_break']
    assert all(p.grad is not None for p in compiled.student.neck.parameters())


def test_a_training_makes_its_graphs_for_its_buckets_and_an_evaluation_none(graphs, tmp_path):
    """One bucket; labeled and unlabeled batches of 1 and 3 images, and the student on both."""
    made = ['compile.backend=eager', 'data.size_buckets=[(320,320)]']
    call('tools/train.py', SOFT_TEACHER, '--work-dir', tmp_path, *taught(runner__max_iters=4), *made)
    assert (tmp_path / 'iter_4.pth').exists() or list(tmp_path.glob('best_*'))
    assert graphs() == 6 and not counters['graph_break']


@pytest.mark.parametrize(
    'settings, buckets, sentence',
    [
        ('inductor', SIZES, "with one of inductor, cudagraphs, aot_eager, eager; got 'inductor'"),
        (dict(backend='tvm'), SIZES, "got {'backend': 'tvm'}"),
        (dict(backend='eager', mode='max-autotune'), SIZES, 'compile is False or dict(backend=...)'),
        (dict(backend='eager'), [], 'name 1 to 8 sizes, (width, height), in data.size_buckets; it has 0'),
        (dict(backend='eager'), SIZES * 5, 'it has 10'),
        (dict(backend='inductor'), SIZES, 'needs a C++ compiler on a CPU'),
        (dict(backend='cudagraphs'), SIZES, 'is for a GPU'),
    ],
)
def test_refusals(monkeypatch, settings, buckets, sentence):
    monkeypatch.setattr('shutil.which', lambda name: None)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(InputError) as error:
        check_compile(settings, buckets)
    assert sentence in str(error.value)


@pytest.mark.parametrize('settings', [None, False, {}, dict(backend='eager'), dict(backend='inductor')])
def test_what_passes(monkeypatch, settings):
    monkeypatch.setattr('shutil.which', lambda name: f'/usr/bin/{name}')
    check_compile(settings, SIZES if settings else [])
