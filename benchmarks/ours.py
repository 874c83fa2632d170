"""This project as a contestant."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ssod  # noqa: F401  first: it keeps mmcv's import quiet

# isort: split
import mmcv
import torch
from mmcv import ConfigDict
from mmcv.parallel import DataContainer
from mmcv.runner import build_optimizer, get_dist_info
from mmdet.datasets import build_dataset
from mmdet.models import build_detector
from torch import nn
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader

from benchmarks.case import image_metas
from benchmarks.contestant import Build, Run, detecting, load_weights, loading, serve
from benchmarks.counting import counting
from benchmarks.measuring import Parts
from ssod.apis.train import parallelize, prepare_for_training
from ssod.compat import init_distributed
from ssod.core.ema import paired_tensors, update_teacher
from ssod.core.task import TASKS
from ssod.data import build_train_loader
from ssod.detection import SoftTeacher
from ssod.detection.heads import RoIStage
from ssod.hooks import AmpOptimizerHook, MeanTeacherHook, ReleasingOptimizerHook

# What is counted for which part of a step: methods of the model, then of a stage of its RoI head. A call within another
# counts for its own part, so the RoI head's is what the others leave of the losses on unlabeled images.
TRAINING_PARTS = dict(
    supervised_losses='sup forward',
    find_pseudo_labels='teacher',
    project_pseudo_labels='projection',
    unsupervised_losses='unsup RoI head',
    _rpn_losses='unsup rpn',
    background_weight='teacher background',
)
STAGE_PARTS = dict(sample='unsup sampling', cls_loss='unsup cls loss', reg_loss='unsup reg loss')


def build_model(folder: Path, case: dict) -> SoftTeacher:
    """The case's model with the case's weights in student and teacher."""
    model = build_detector(ConfigDict(case['model']))
    load_weights(model, folder)
    return model.to(case['device'])


def build_loader(folder: Path, case: dict) -> DataLoader:
    """The config's training loader over the case's images, each batch with the case's number of either kind."""
    ratio = tuple(case['images'])
    data = dict(samples_per_gpu=sum(ratio), workers_per_gpu=case['workers'], sampler=dict(ratio=ratio, by_prob=False))
    dataset = build_dataset(mmcv.load(folder / 'train_set.pkl'))
    return build_train_loader(dataset, data, case['seed'])


def collated(batch: dict[str, dict]) -> dict[str, dict]:
    """The case's batch as a loader gives it, but normalized."""
    views = {}
    for name, view in batch.items():
        views[name] = dict(
            img=DataContainer([view['img']], stack=True),
            img_metas=DataContainer([image_metas(view)], cpu_only=True),
        )
        for key in ('gt_bboxes', 'gt_labels'):
            if key in view:
                views[name][key] = DataContainer([view[key]])
    return views


def watch(model: SoftTeacher, parts: Parts) -> None:
    """Count the parts of the model's step from now on."""
    for method, part in TRAINING_PARTS.items():
        parts.watch(model, method, part)
    for method, part in STAGE_PARTS.items():
        parts.watch(RoIStage, method, part)
    parts.watch(model.reg_filter, 'variance', 'teacher jitter')
    parts.watch(model.student, 'extract_feat', 'student backbone')


def step_run(folder: Path, case: dict, parts: Parts) -> Run:
    """A whole training step, as mmcv's runner takes it: data, EMA, losses, backward, optimizer."""
    if 'RANK' in os.environ:
        init_distributed()
    model = build_model(folder, case)
    prepare_for_training(TASKS['detection'], model, case['accelerate'], case['channels_last'])
    watch(model, parts)
    hook = AmpOptimizerHook(case['amp']) if case['amp'] else ReleasingOptimizerHook()
    runner = SimpleNamespace(
        model=parallelize(model, distributed=get_dist_info()[1] > 1).train(),
        optimizer=build_optimizer(model.student, {**case['optimizer'], 'lr': 0.0}),
        iter=1000,
        max_iters=10**6,
        hooks=[hook],
        meta={},
        logger=logging.getLogger('ssod'),
        log_buffer=SimpleNamespace(update=lambda *values: None),
    )
    parts.watch(runner.optimizer, 'step', 'optimizer')
    parts.watch(model, '_parse_losses', 'logging')
    if case['device'] not in ('cpu', 'cuda'):
        move_inputs(model, case['device'], parts)
    hook.before_run(runner)
    mean_teacher = MeanTeacherHook()
    mean_teacher.before_run(runner)
    if case['workers'] is None:
        batch = collated(torch.load(folder / 'batch.pth'))
        batches = iter(lambda: batch, None)
    else:
        batches = iter(build_loader(folder, case))

    def run() -> dict:
        with parts('data'):
            data = next(batches)
        with parts('EMA'):
            mean_teacher.before_train_iter(runner)
        runner.outputs = runner.model.train_step(data, runner.optimizer)
        with parts('backward'):
            hook.after_train_iter(runner)
        return dict(runner.outputs['log_vars'])

    return run


def move_inputs(model: nn.Module, device: str, parts: Parts) -> None:
    """Let a model move its training batches to a device that mmcv's wrapper does not know, as it does to a GPU."""
    train_step = model.train_step

    def moving(data: dict, optimizer: Any) -> dict:
        with parts('data'):
            data = tree_map(
                lambda value: value.to(device, non_blocking=True) if torch.is_tensor(value) else value, data
            )
        return train_step(data, optimizer)

    model.train_step = moving


def loader_run(folder: Path, case: dict, parts: Parts) -> Run:
    """Some batches, ready to be moved to the device."""
    return loading(build_loader(folder, case), case)


def ema_run(folder: Path, case: dict, parts: Parts) -> Run:
    """One update of the teacher."""
    model = build_model(folder, case)
    tensors = paired_tensors(model.student, model.teacher)
    return lambda: update_teacher(tensors, 0.999)


def ema_loop_run(folder: Path, case: dict, parts: Parts) -> Run:
    """The same update as two operations a tensor, over all of them."""
    model = build_model(folder, case)

    @torch.no_grad()
    def run() -> None:
        for teacher, student in zip(model.teacher.parameters(), model.student.parameters(), strict=True):
            teacher.mul_(0.999).add_(student, alpha=0.001)

    return run


def inference_run(folder: Path, case: dict, parts: Parts) -> Run:
    """Detections on the case's unlabeled images, one after another."""
    model = build_model(folder, case).eval()
    TASKS['detection'].accelerate(model, case['accelerate'])
    view = torch.load(folder / 'batch.pth')['unsup_teacher']
    return detecting(
        lambda image, meta: sum(map(len, model.simple_test(image, [meta])[0])),
        view['img'].to(case['device']),
        image_metas(view),
    )


def plain(build: Build) -> Build:
    """The same run without the faster parts of ``ssod.accel``, whatever the config says."""
    return lambda folder, case, parts: build(folder, {**case, 'accelerate': False}, parts)


if __name__ == '__main__':
    serve(
        dict(
            step=step_run,
            step_plain=plain(step_run),
            count=counting(step_run),
            count_plain=counting(plain(step_run)),
            loader=loader_run,
            ema=ema_run,
            ema_loop=ema_loop_run,
            inference=inference_run,
            inference_plain=plain(inference_run),
        )
    )
