"""Kernels, waits and memory of a step of every kind of model, without a GPU and without data.

    python benchmarks/kinds.py                                   all kinds, counted
    python benchmarks/kinds.py --memory --amp --size 608 800     bytes of tensors instead, in bfloat16

The model of a config with random weights, on noise. Counts are those of the device of `pretend.py`, bytes those of
`live_bytes.py` on the code path of a GPU.
"""

import argparse
import os
import sys
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ssod  # noqa: F401  first: it keeps mmcv's import quiet

# isort: split
import numpy as np
import torch
from mmcv import Config
from mmcv.runner import build_optimizer
from mmdet.core import BitmapMasks
from terminaltables import AsciiTable
from torch import nn
from torch.utils._pytree import tree_map

from benchmarks.case import image_metas, make_batch
from benchmarks.live_bytes import LiveBytes
from ssod.apis import load_config
from ssod.apis.train import prepare_for_training, trained_part
from ssod.core.ema import paired_tensors, update_teacher
from ssod.core.hardware import as_on_a_gpu
from ssod.core.task import task_of

COCO = [
    f'configs/{folder}/{name}_r50_caffe_fpn_coco_{runs}.py'
    for folder, name, runs in (
        ('soft_teacher', 'soft_teacher_faster_rcnn', '180k'),
        ('soft_teacher', 'soft_teacher_mask_rcnn', '180k'),
        ('soft_teacher', 'soft_teacher_cascade_rcnn', '180k'),
        ('soft_teacher', 'soft_teacher_cascade_mask_rcnn', '180k'),
        ('soft_teacher', 'soft_teacher_htc', 'full_720k'),
        ('mean_teacher', 'mean_teacher_retinanet', '180k'),
        ('mean_teacher', 'mean_teacher_fcos', '180k'),
        ('mean_teacher', 'mean_teacher_atss', '180k'),
        ('dense_teacher', 'dense_teacher_fcos', '180k'),
    )
]
MAPS = [f'configs/segmentation/{method}/deeplabv3plus_r50_voc.py' for method in ('simple_baseline', 'cps', 'cct')]
CONFIGS = [*COCO[:-1], 'configs/mean_teacher/mean_teacher_yolox_s_coco_180k.py', COCO[-1], *MAPS]


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', default=CONFIGS, metavar='CONFIG', help='default: one of each kind')
    parser.add_argument('--images', type=int, nargs=2, default=[1, 4], metavar=('LABELED', 'UNLABELED'))
    parser.add_argument('--size', type=int, nargs=2, default=[256, 384], metavar=('H', 'W'))
    parser.add_argument('--candidates', type=int, default=8, help='per image that the teacher finds, at most (8)')
    parser.add_argument('--memory', action='store_true', help='bytes instead of counts')
    parser.add_argument('--amp', action='store_true', help='of --memory: bfloat16, which takes what float16 takes')
    parser.add_argument('--checkpointing', action='store_true', help="of --memory: with_cp of the backbone's blocks")
    args = parser.parse_args()
    if (args.amp or args.checkpointing) and not args.memory:
        parser.error('--amp and --checkpointing go with --memory')
    return args


def build(cfg: Config, args: argparse.Namespace) -> nn.Module:
    """The config's model with random weights, whose teacher finds ``args.candidates`` boxes on every image."""
    torch.manual_seed(0)
    detector = cfg.model.get('detector')
    (detector or cfg.model.segmentor).backbone.update(init_cfg=None)
    if args.checkpointing:
        (detector or cfg.model.segmentor).backbone.with_cp = True
    if detector is not None:
        tests = detector.test_cfg
        tests.get('rcnn', tests).update(score_thr=0.0, max_per_img=args.candidates)
        semi = cfg.model.semi_train_cfg
        for name in [name for name in semi if name.endswith('_filter') and semi[name]]:
            if semi[name].type == 'ScoreFilter':
                semi[name].thr = 0.0
        if cfg.model.type != 'DenseTeacher':
            semi.candidate_score_thr = 0.0
    task_of(cfg).set_num_classes(cfg.model, 3)  # of 80 every box would reach a score threshold of 0
    model = task_of(cfg).build_model(cfg.model)
    prepare_for_training(task_of(cfg), model, cfg.get('accelerate', True))
    if hasattr(model, 'teacher'):
        model.teacher.load_state_dict(model.student.state_dict())
    return model.train()


def batch_for(cfg: Config, args: argparse.Namespace, num_classes: int) -> dict[str, dict]:
    """Noise with boxes, filled masks and label maps, each as far as the config's kind takes them."""
    of_maps, (height, width) = task_of(cfg).name == 'segmentation', args.size
    labeled, unlabeled = (max(number, 2 if of_maps else 1) for number in args.images)  # DSBN wants two of each
    views = make_batch(labeled, unlabeled, (height, width), num_classes)
    if cfg.model.type == 'DenseTeacher':
        views['unsup_student'] = dict(views['unsup_teacher'])
    for view in views.values():
        view['img_metas'] = image_metas(view)
        del view['matrices']
    sup, student = views['sup'], views['unsup_student']
    if of_maps:
        pseudo = cfg.model.type == 'SimpleBaseline'
        student['img_metas'] = [dict(meta, pseudo=pseudo) for meta in student['img_metas']]
        for view in (sup, student) if pseudo else (sup,):
            view['gt_semantic_seg'] = torch.zeros(len(view['img']), 1, height, width).long()
        return dict(sup=sup, unsup_student=student)
    heads = cfg.model.detector.get('roi_head', {})
    if 'mask_head' in heads:
        sup['gt_masks'] = [filled(boxes, height, width) for boxes in sup['gt_bboxes']]
    if heads.get('semantic_head'):
        sup['gt_semantic_seg'] = torch.zeros(labeled, 1, height // 8, width // 8).long()
    return views


def filled(boxes: torch.Tensor, height: int, width: int) -> BitmapMasks:
    """Boxes as masks."""
    masks = np.zeros((len(boxes), height, width), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    return BitmapMasks(masks, height, width)


def step(cfg: Config, model: nn.Module, optimizer: torch.optim.Optimizer, batch: dict) -> None:
    """Average, losses, backward pass, optimizer."""
    optimizer.zero_grad()
    if hasattr(model, 'teacher'):
        update_teacher(paired_tensors(model.student, model.teacher), 0.999)
    model.train_step(batch, optimizer)['loss'].backward()
    optimizer.step()


def counts(cfg: Config, model: nn.Module, batch: dict) -> list[int]:
    """Kernels, waits and uploads of the second step."""
    from benchmarks.pretend import DEVICE, Watch  # which changes the process for good

    with Watch() as watch:
        model.to(DEVICE)
        batch = tree_map(lambda value: value.to(DEVICE) if torch.is_tensor(value) else value, batch)
        optimizer = build_optimizer(trained_part(model), cfg.optimizer)
        for _ in range(2):
            watch.counts.clear()
            step(cfg, model, optimizer, batch)
    return [watch.total(kind) for kind in ('kernels', 'waits', 'uploads')]


def megabytes(cfg: Config, model: nn.Module, batch: dict, amp: bool) -> list[int]:
    """What lives through a step, and the most in the second step: before the backward pass and at all; in MiB."""
    part = ['']
    live = LiveBytes(lambda: part[0])
    live.add([*model.parameters(), *model.buffers(), *(view['img'] for view in batch.values())])
    optimizer = build_optimizer(trained_part(model), cfg.optimizer)
    cast = torch.autocast('cpu', torch.bfloat16) if amp else nullcontext()
    with live, as_on_a_gpu():
        for _ in range(2):
            optimizer.zero_grad()
            live.peak.clear()
            part[0] = 'forward'
            with cast:
                loss = model.train_step(batch, optimizer)['loss']
            held = live.now
            part[0] = 'backward'
            loss.backward()
            optimizer.step()
            del loss
    return [value >> 20 for value in (live.now, held, live.peak['forward'], max(live.peak.values()))]


def main() -> None:
    """Print a row for each config."""
    args = parse_args()
    os.chdir(Path(__file__).resolve().parents[1])
    head = (
        ['between steps', 'held for backward', 'most forward', 'most']
        if args.memory
        else ['kernels', 'waits', 'uploads']
    )
    rows = [['config', *head]]
    for config in args.configs:
        cfg = load_config(config)
        model = build(cfg, args)
        batch = batch_for(cfg, args, task_of(cfg).num_classes(model))
        figures = megabytes(cfg, model, batch, args.amp) if args.memory else counts(cfg, model, batch)
        rows.append([config.removeprefix('configs/').removesuffix('.py'), *figures])
        print(*rows[-1], flush=True)
    print(AsciiTable(rows).table)


if __name__ == '__main__':
    main()
