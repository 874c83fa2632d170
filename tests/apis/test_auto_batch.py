"""How many images fit: the search, without a GPU, and the step that it takes."""

import pytest
import torch
from mmcv import Config
from runs import BASELINE, SOFT_TEACHER, call, refusal, small, taught

from ssod.apis import InputError, load_config
from ssod.apis.auto_batch import StepProbe, area, at_largest_scale, find_batch, largest, set_batch
from ssod.apis.config import Options


def config(ratio=(1, 1), base=None, semi=True, **sampler):
    data = dict(
        samples_per_gpu=2, sampler=dict(ratio=ratio, **sampler), train=dict(type='SemiDataset' if semi else 'X')
    )
    return Config(dict(data=data, base_batch=base, optimizer_config=dict(grad_clip=None)))


@pytest.mark.parametrize('limit', range(0, 40))
@pytest.mark.parametrize('least, most', [(1, 37), (2, 16), (3, 3)])
def test_the_search_finds_what_a_loop_finds(limit, least, most):
    expected = max((n for n in range(least, most + 1) if n <= limit), default=0)
    tried = []
    assert largest(lambda n: tried.append(n) or n <= limit, least, most) == expected
    assert all(least <= n <= most for n in tried) and len(tried) == len(set(tried)) <= 12


def memory(gib):
    """A GPU on which an iteration takes 2 GiB, 1 for each labeled image and 1.5 for each unlabeled one."""
    return lambda labeled, unlabeled: 2 + labeled + 1.5 * unlabeled <= gib


@pytest.mark.parametrize(
    'cfg, gib, expected',
    [
        (config(by_prob=False), 12, 8),  # 4 + 4
        (config(by_prob=False), 6, 2),
        (config((1, 4), by_prob=False), 29, 15),  # 3 + 12: 2 + 3 + 18 GiB
        (config((2, 8), by_prob=False), 29, 10),  # its slots go round in tens
        (config((1, 4)), 30, 19),  # one labeled at the least
        (config((1, 4), base=dict(labeled=1, unlabeled=4)), 30, 5),
        (config((1, 4), by_prob=False, base=dict(labeled=1.5, unlabeled=6)), 30, 10),
        (config((1, 4), at_least_one=False), 3.7, 1),
        (config(semi=False), 12, 10),
    ],
)
def test_the_largest_batch_at_the_ratio(cfg, gib, expected):
    assert find_batch(cfg, memory(gib)) == expected


def test_what_does_not_fit_and_a_cpu_are_a_sentence(monkeypatch):
    with pytest.raises(InputError, match='not even 5 images of the largest size fit: lower train_scale'):
        find_batch(config((1, 4), by_prob=False), memory(6))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(InputError, match='GPU, and there is none: on a CPU take data.samples_per_gpu=4'):
        find_batch(config())


@pytest.mark.parametrize(
    'cfg, fitting, processes, samples, passes',
    [
        (config(by_prob=False, base=dict(labeled=2, unlabeled=2)), 4, 1, 4, 1),
        (config(by_prob=False, base=dict(labeled=2, unlabeled=2)), 2, 1, 2, 2),
        (config((1, 4), base=dict(labeled=10.6, unlabeled=29.4)), 5, 1, 5, 8),
        (config((1, 4), base=dict(labeled=10.6, unlabeled=29.4)), 6, 1, 6, 7),  # 5.7 images in each of 7
        (config((1, 4), base=dict(labeled=10.6, unlabeled=29.4)), 40, 8, 5, 1),
        (config((1, 4), by_prob=False, base=dict(labeled=8, unlabeled=32)), 15, 1, 15, 3),
        (config(semi=False, base=dict(labeled=16)), 3, 2, 3, 3),
    ],
)
def test_the_step_has_the_images_of_the_base(cfg, fitting, processes, samples, passes):
    text = set_batch(cfg, fitting, processes)
    assert (cfg.data.samples_per_gpu, cfg.optimizer_config.cumulative_iters) == (samples, passes)
    assert cfg.optimizer_config.grad_clip is None and samples <= fitting
    assert text.startswith(
        f'auto_batch: {fitting} images of the largest size fit (90% of the memory): data.samples_per'
    )


def test_without_a_base_the_batch_is_what_fits():
    cfg = config()
    assert set_batch(cfg, 12, 1).endswith('data.samples_per_gpu=12') and cfg.data.samples_per_gpu == 12
    assert 'cumulative_iters' not in cfg.optimizer_config


@pytest.mark.parametrize('path, images', [(SOFT_TEACHER, (1, 2)), (BASELINE, (2, 0))], ids=['semi', 'baseline'])
def test_the_step_is_one_of_the_training_at_the_largest_size(path, images, monkeypatch):
    pairs = (option.split('=', maxsplit=1) for option in small(train_scale='[(96,48),(96,96),(64,64)]')[1:])
    cfg = load_config(path, {key: Options._parse_iterable(value) for key, value in pairs})
    before = cfg.pretty_text
    probe, seen = StepProbe(cfg), []
    monkeypatch.setattr(type(probe.optimizer), 'step', lambda self: seen.append(all_grads(probe.model)))
    probe.step(*images)
    assert seen == [True] and not all_grads(probe.model) and cfg.pretty_text == before
    assert [area(sample) for sample in probe.samples] == [96 * 96] * len(probe.samples)


def all_grads(model):
    return all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_of_several_scales_the_largest_is_left():
    ops = [
        dict(type='Resize', img_scale=[(1333, 400), (1333, 1200)]),
        dict(transforms=[dict(img_scale=[[8, 9], [9, 9]])]),
    ]
    data = dict(labeled=dict(pipeline=ops), unlabeled=dict(pipeline=(dict(img_scale=(640, 480)),)))
    at_largest_scale(data)
    assert ops[0]['img_scale'] == [(1333, 1200)] and ops[1]['transforms'][0]['img_scale'] == [[9, 9]]
    assert data['unlabeled']['pipeline'][0]['img_scale'] == (640, 480)


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without GPU')
def test_the_option_on_a_cpu(tmp_path):
    said = refusal('tools/train.py', SOFT_TEACHER, '--auto-batch', '--work-dir', tmp_path, *small())
    assert said.startswith('error: --auto-batch looks for what fits the memory of a GPU')


def test_the_option_sets_the_batch_before_the_training_and_the_log_has_it(tmp_path, monkeypatch):
    """As on a GPU that holds 5 images: for the 4 + 4 of the config two iterations of 2 + 2."""
    monkeypatch.setattr('ssod.cli.training.find_batch', lambda cfg: find_batch(cfg, lambda *images: sum(images) <= 5))
    options = taught(runner__max_iters=4, checkpoint_config__interval=4, data__samples_per_gpu=8)
    call('tools/train.py', SOFT_TEACHER, '--auto-batch', '--no-validate', '--work-dir', tmp_path, '--seed', 0, *options)
    text = next(tmp_path.glob('*.log')).read_text()
    assert 'auto_batch: 4 images of the largest size fit (90% of the memory): data.samples_per_gpu=4, optim' in text
    assert '4 labeled + 4 unlabeled images per step (1 process x 4 images x 2 iterations)' in text
    assert (tmp_path / 'iter_8.pth').is_file()
