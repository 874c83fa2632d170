"""Settings that would have no effect are refused; values that ask for nothing pass."""

import re

import pytest
from mmcv import Config
from mmcv.runner import RUNNERS, IterBasedRunner

from ssod.apis import InputError, settings_check
from ssod.apis.settings_check import check_settings


def config(**settings):
    """A config that passes, with settings at places such as ``data__sampler``."""
    cfg = Config(
        dict(
            runner=dict(type='IterBasedRunner', max_iters=8),
            optimizer=dict(type='SGD', lr=0.1),
            lr_config=dict(policy='step', step=[4]),
            checkpoint_config=dict(interval=4),
            log_config=dict(interval=2, hooks=[dict(type='TextLoggerHook')]),
            evaluation=dict(interval=4, metric='bbox'),
            data=dict(samples_per_gpu=4, workers_per_gpu=0, sampler=dict(ratio=(1, 4)), train={}, val={}, test={}),
            train_scale=[(64, 64)],  # a name of the config's own
        )
    )
    cfg.merge_from_dict({place.replace('__', '.'): value for place, value in settings.items()})
    return cfg


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (dict(runner__type='EpochBasedRunner'), "set runner=dict(type='IterBasedRunner', max_iters=...)"),
        (dict(runner=dict(_delete_=True, max_iters=4)), "runner.type is None: training counts iterations"),
        (dict(runner=dict(_delete_=True, type='IterBasedRunner')), 'runner.max_iters must be a number of iterations'),
        (dict(runner__max_epochs=12), 'runner.max_epochs=12 has no effect here: set runner.max_iters'),
        (dict(total_epochs=12), 'set runner.max_iters'),
        (dict(workflow=[('train', 1), ('val', 1)]), "workflow=[('train', 1)]"),
        (dict(auto_scale_lr=dict(enable=True, base_batch_size=16)), 'say auto_scale=True'),
        (dict(resume_optimizer=False), 'load_from starts from the weights alone'),
        (dict(train_cfg=dict(rpn=1)), 'model.train_cfg'),
        (dict(lr_confg=dict(policy='step')), 'the config sets lr_confg, which has no effect: did you mean lr_config?'),
        (dict(evaluations=dict(interval=1)), 'did you mean evaluation?'),
        (dict(lr_config__by_epoch=True), 'the steps of lr_config count iterations'),
        (dict(evaluation__gpu_collect=True), 'evaluation.gpu_collect=True has no effect here: results are gathered'),
        (dict(evaluation__tmpdir='/tmp/x'), 'evaluation.tmpdir=/tmp/x has no effect'),
        (dict(evaluation__by_epoch=True), 'evaluation.interval counts iterations'),
        (dict(checkpoint_config__by_epoch=True), 'checkpoint_config.interval counts iterations'),
        (dict(checkpoint_config__intervall=2), "checkpoint_config has no setting 'intervall': did you mean interval?"),
        (dict(data__train_dataloader=dict(samples_per_gpu=2)), 'write data.samples_per_gpu and data.workers_per_gpu'),
        (dict(data__val_dataloader=dict(samples_per_gpu=2)), 'write data.test_samples_per_gpu'),
        (dict(data__test_dataloader=dict(samples_per_gpu=2)), 'write data.test_samples_per_gpu'),
        (dict(data__persistent_workers=True), 'the workers stay, always'),
        (dict(data__sample_per_gpu=2), "data has no setting 'sample_per_gpu': did you mean samples_per_gpu?"),
        (dict(data__size_buckets=[(100, 64)]), 'a list of (width, height), multiples of 32; got (100, 64)'),
        (dict(data__size_buckets=(64, 96)), 'multiples of 32; got 64'),
        (dict(compile=dict(backend='eager')), 'data.size_buckets; it has 0'),
        (dict(data__shuffle=True), "data has no setting 'shuffle': it has samples_per_gpu"),
        (dict(data__sampler__rato=(1, 1)), "data.sampler has no setting 'rato': did you mean ratio?"),
        (dict(log_config__intervals=2), "log_config has no setting 'intervals': did you mean interval?"),
        (dict(log_config__hooks=[dict(type='TextLoggerHook', by_epoch=True)]), 'with by_epoch=True logs nothing: '),
    ],
)  # fmt: skip
def test_no_effect(settings, sentence):
    with pytest.raises(InputError) as refused:
        check_settings(config(**settings))
    assert sentence in str(refused.value) and '\n' not in str(refused.value)


@pytest.mark.parametrize('name', ['runner', 'optimizer', 'lr_config', 'checkpoint_config', 'log_config'])
def test_what_every_training_needs(name):
    cfg = config()
    cfg.pop(name)
    with pytest.raises(InputError, match=f'the config has no {name}: '):
        check_settings(cfg)


@pytest.mark.parametrize(
    'settings',
    [
        dict(),
        dict(workflow=[('train', 1)]),
        dict(workflow=[['train', 5]]),
        dict(auto_scale_lr=dict(enable=False, base_batch_size=16)),
        dict(auto_scale_lr=dict(base_batch_size=16)),
        dict(find_unused_parameters=True),
        dict(evaluation__gpu_collect=False, evaluation__tmpdir=None),
        dict(data__val_dataloader={}, data__persistent_workers=False),
        dict(resume_optimizer=True, train_cfg=None, by_epoch=False),
        dict(cudnn_benchmark=True, gpu_ids=[0], dist_params=dict(backend='nccl')),
        dict(checkpoint_config__by_epoch=False, checkpoint_config__max_keep_ckpts=2),
        dict(runner_of_the_demo=1, optimal=2, eval_interval=3),
    ],
)
def test_values_that_ask_for_nothing_and_what_is_done_pass(settings):
    check_settings(config(**settings))


def test_a_runner_of_ones_own_that_counts_iterations_passes():
    @RUNNERS.register_module()
    class OwnRunner(IterBasedRunner):
        pass

    try:
        check_settings(config(runner__type='OwnRunner'))
    finally:
        RUNNERS.module_dict.pop('OwnRunner')


@pytest.mark.parametrize('hook, package', settings_check.LOGGERS.items())
def test_a_logger_without_its_package(monkeypatch, hook, package):
    cfg = config(log_config__hooks=[dict(type=hook)])
    monkeypatch.setattr(settings_check, 'find_spec', lambda name: name)
    check_settings(cfg)
    monkeypatch.setattr(settings_check, 'find_spec', lambda name: None)
    said = f'{hook} needs {package}, which is not installed: pip install ssod[logging]'
    with pytest.raises(InputError, match=re.escape(said)):
        check_settings(cfg)
