"""Settings of MMDetection, and misspelt ones, that would have no effect here: refused in one sentence, or honored."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from mmcv import Config
from mmcv.runner import RUNNERS, IterBasedRunner

from ssod.core.compiling import check_compile
from ssod.core.errors import InputError

# The keys of the sections whose owner would ignore, or find out too late, what it does not know.
KEYS = {
    'data': 'samples_per_gpu workers_per_gpu test_samples_per_gpu sampler train val test max_image_pixels '
    'max_broken_share size_buckets',
    'data.sampler': 'ratio by_prob at_least_one decay',
    'log_config': 'interval hooks',
    'checkpoint_config': 'type interval by_epoch save_optimizer out_dir max_keep_ckpts save_last sync_buffer '
    'file_client_args filename_tmpl create_symlink priority',
}
# Settings at the top of a config that mean something here; a name that is nearly one of these was meant to be it.
TOP = (
    'runner lr_config optimizer optimizer_config momentum_config checkpoint_config log_config evaluation custom_hooks '
    'load_from resume_from auto_resume accelerate channels_last work_dir log_level find_unused_parameters '
    'custom_imports cudnn_benchmark workflow auto_scale_lr auto_scale base_batch rank_timeout compile'
).split()
HINTS = {
    'data.train_dataloader': 'write data.samples_per_gpu and data.workers_per_gpu',
    'data.val_dataloader': 'write data.test_samples_per_gpu and data.workers_per_gpu',
    'data.test_dataloader': 'write data.test_samples_per_gpu and data.workers_per_gpu',
    'data.persistent_workers': 'the workers stay, always',
}


def nothing(value: Any) -> bool:
    """Whether a value asks for nothing."""
    return value in (None, False) or value == {}


def only_train(workflow: Iterable) -> bool:
    """Whether a workflow trains and does nothing else."""
    return nothing(workflow) or all(mode == 'train' for mode, _ in workflow)


def not_enabled(auto_scale_lr: Any) -> bool:
    """Whether the learning rate is left as it is."""
    return nothing(auto_scale_lr) or not auto_scale_lr.get('enable', False)


# A setting that is not done here, the values that ask for nothing, and what to do.
NOT_DONE: list[tuple[str, Callable[[Any], bool], str]] = [
    ('workflow', only_train, "losses of the validation set are not computed: evaluate it, workflow=[('train', 1)]"),
    ('auto_scale_lr', not_enabled, 'say auto_scale=True (--auto-scale), which scales the schedule too'),
    ('resume_optimizer', lambda value: value is True, 'load_from starts from the weights alone, resume_from from all'),
    ('evaluation.gpu_collect', nothing, 'results are gathered from process to process, without GPU or folder'),
    ('evaluation.tmpdir', nothing, 'results are gathered from process to process, without GPU or folder'),
    ('evaluation.by_epoch', nothing, 'evaluation.interval counts iterations'),
    ('checkpoint_config.by_epoch', nothing, 'checkpoint_config.interval counts iterations'),
    ('lr_config.by_epoch', nothing, 'the steps of lr_config count iterations'),
    ('total_epochs', nothing, 'set runner.max_iters'),
    ('runner.max_epochs', nothing, 'set runner.max_iters'),
    ('train_cfg', nothing, 'write it into the detector: model.train_cfg, or model.detector.train_cfg'),
    ('test_cfg', nothing, 'write it into the detector: model.test_cfg, or model.detector.test_cfg'),
]
LOGGERS = {'TensorboardLoggerHook': 'tensorboard', 'WandbLoggerHook': 'wandb', 'MlflowLoggerHook': 'mlflow'}


def check_settings(cfg: Config) -> None:
    """Refuse settings of a training that would have no effect.

    Raises:
        InputError: a setting that is missing, unknown, or not done here; a runner that does not count iterations; a
            logger whose package is not installed.
    """
    check_names(cfg)
    check_runner(cfg.runner)
    check_buckets(cfg.data.get('size_buckets', ()))
    check_compile(cfg.get('compile'), cfg.data.get('size_buckets', ()))
    for path, means_nothing, advice in NOT_DONE:
        value, there = find(cfg, path)
        if there and not means_nothing(value):
            raise InputError(f'{path}={value} has no effect here: {advice}')
    for path, known in KEYS.items():
        section, _ = find(cfg, path)
        check_keys(path, section or {}, known.split())
    for hook in cfg.get('log_config', {}).get('hooks', []):
        if hook.get('by_epoch'):
            raise InputError(f'log_config: {hook["type"]} with by_epoch=True logs nothing: intervals are iterations')
        check_logger(hook['type'])


def check_names(cfg: Config) -> None:
    """Refuse a config without what a training needs, and names at its top that are nearly a setting's."""
    for name in cfg:
        near = get_close_matches(name, TOP, n=1, cutoff=0.88)
        if near and name != near[0]:
            raise InputError(f'the config sets {name}, which has no effect: did you mean {near[0]}?')
    for name in ('runner', 'optimizer', 'lr_config', 'checkpoint_config', 'log_config'):
        if name not in cfg:
            raise InputError(f'the config has no {name}: take one of configs/_base_/schedules, or write {name}=...')


def check_buckets(buckets: Any) -> None:
    """Refuse ``data.size_buckets`` that are no (width, height), each a multiple of 32, as feature maps want it."""
    pairs = buckets if isinstance(buckets, (list, tuple)) else [buckets]
    for pair in pairs:
        sides = pair if isinstance(pair, (list, tuple)) else []
        if len(sides) != 2 or not all(isinstance(side, int) and side > 0 and side % 32 == 0 for side in sides):
            raise InputError(f'data.size_buckets is a list of (width, height), multiples of 32; got {pair!r}')


def check_runner(runner: dict) -> None:
    """Refuse a runner that is not mmcv's ``IterBasedRunner`` or a subclass, or does not say when it ends."""
    kind = RUNNERS.get(runner.get('type')) if isinstance(runner.get('type'), str) else runner.get('type')
    if not (isinstance(kind, type) and issubclass(kind, IterBasedRunner)):
        raise InputError(
            f'runner.type is {runner.get("type")!r}: training counts iterations, set '
            "runner=dict(type='IterBasedRunner', max_iters=...)"
        )
    if not isinstance(runner.get('max_iters'), int) or runner['max_iters'] < 1:
        raise InputError(f'runner.max_iters must be a number of iterations, got {runner.get("max_iters")!r}')


def check_keys(where: str, section: dict, known: list[str]) -> None:
    """Refuse a key of a section that nobody reads."""
    for key, value in section.items():
        if key in known or nothing(value):
            continue
        near = get_close_matches(key, known, n=1)
        guess = f'did you mean {near[0]}?' if near else f'it has {", ".join(known)}'
        raise InputError(f'{where} has no setting {key!r}: {HINTS.get(f"{where}.{key}", guess)}')


def check_logger(hook: str) -> None:
    """Refuse a logger whose package is not installed."""
    package = LOGGERS.get(hook)
    if package and find_spec(package) is None:
        raise InputError(f'{hook} needs {package}, which is not installed: pip install ssod[logging]')


def find(cfg: Any, path: str) -> tuple[Any, bool]:
    """The value at a place of the config such as ``data.sampler``, and whether there is one."""
    for key in path.split('.'):
        if not isinstance(cfg, (dict, Config)) or key not in cfg:
            return None, False
        cfg = cfg[key]
    return cfg, True
