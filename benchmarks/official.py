"""The authors' implementation as a contestant: ``PYTHON official.py KIND CASE_DIR CHECKOUT``.

It runs from a checkout of its repository as it is. What its age needs on today's Python and PyTorch is set here.
"""

import collections
import collections.abc
import os
import sys
from functools import partial
from pathlib import Path
from runpy import run_path

import numpy as np
import torch

from benchmarks.contestant import PlainOptimizer, Run, detecting, load_weights, loading, peer_loader, serve
from benchmarks.counting import counting
from benchmarks.measuring import Parts

for name in ('Mapping', 'Sequence'):
    setattr(collections, name, getattr(collections.abc, name))  # gone since Python 3.10
os.environ['WORK_DIR'] = sys.argv[2]  # where it draws pseudo boxes
sys.path.insert(0, sys.argv[3])  # its package has the name of ours: it must be found first

from mmcv import ConfigDict  # noqa: E402
from mmcv.runner import build_optimizer, wrap_fp16_model  # noqa: E402
from mmdet.datasets import build_dataset  # noqa: E402
from mmdet.models import build_detector  # noqa: E402
from ssod.datasets.builder import collate  # noqa: E402
from ssod.utils.hooks import MeanTeacher  # noqa: E402

TRAINING_PARTS = dict(
    extract_teacher_info='teacher',
    extract_student_info='student backbone',
    rpn_loss='unsup rpn',
    unsup_rcnn_cls_loss='unsup cls loss',
    unsup_rcnn_reg_loss='unsup reg loss',
)


def build_model(folder: Path, case: dict) -> torch.nn.Module:
    """Their SoftTeacher with the case's settings and weights."""
    semi = case['model']['semi_train_cfg']
    cfg = dict(
        type='SoftTeacher',
        model=without_torchvision(case['model']['detector']),
        train_cfg=dict(
            use_teacher_proposal=False,
            pseudo_label_initial_score_thr=semi['candidate_score_thr'],
            rpn_pseudo_threshold=semi['rpn_filter']['thr'],
            cls_pseudo_threshold=semi['cls_filter']['thr'],
            reg_pseudo_threshold=semi['reg_filter']['thr'],
            jitter_times=semi['reg_filter']['num_jitters'],
            jitter_scale=semi['reg_filter']['jitter_scale'],
            min_pseduo_box_size=semi['min_pseudo_bbox_size'],
            unsup_weight=semi['unsup_weight'],
        ),
        test_cfg=dict(inference_on='student'),
    )
    model = build_detector(ConfigDict(cfg))
    load_weights(model, folder)
    model.CLASSES = [str(i) for i in range(model.student.roi_head.bbox_head.num_classes)]
    return model.to(case['device'])


def without_torchvision(detector: dict) -> dict:
    """The detector with the RoIAlign that their configs use, mmcv's."""
    detector['roi_head']['bbox_roi_extractor']['roi_layer'].pop('use_torchvision', None)
    return detector


def flat_batch(batch: dict[str, dict], device: str) -> dict:
    """All views in one batch, told apart by a tag: img (B, 3, H, W), img_metas, gt_bboxes, gt_labels."""
    flat = dict(img=torch.cat([view['img'] for view in batch.values()]), img_metas=[], gt_bboxes=[], gt_labels=[])
    shape = (*flat['img'].shape[-2:], 3)
    norm = dict(mean=np.zeros(3, np.float32), std=np.ones(3, np.float32), to_rgb=False)
    for tag, view in batch.items():
        for i, matrix in enumerate(view['matrices']):
            meta = dict(filename=f'{i}.jpg', tag=tag, transform_matrix=matrix.numpy(), scale_factor=1.0)
            meta.update(dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), shape), img_norm_cfg=norm)
            flat['img_metas'].append(meta)
            flat['gt_bboxes'].append(view.get('gt_bboxes', {i: torch.zeros(0, 4)})[i].to(device))
            flat['gt_labels'].append(view.get('gt_labels', {i: torch.zeros(0, dtype=torch.long)})[i].to(device))
    flat['img'] = flat['img'].to(device)
    return flat


def step_run(folder: Path, case: dict, parts: Parts) -> Run:
    """Their training step: EMA, losses, backward, optimizer. Half precision only as float16 on a GPU, as theirs."""
    model = build_model(folder, case)
    half = case['amp'] == 'float16' and case['device'] == 'cuda'
    if half:
        wrap_fp16_model(model)
    parts.watch(model.student, 'forward_train', 'sup forward')
    for method, part in TRAINING_PARTS.items():
        parts.watch(model, method, part)
    optimizer = build_optimizer(model.student, {**case['optimizer'], 'lr': 0.0})
    trainer = PlainOptimizer(optimizer, parts, 'float16' if half else None)
    mean_teacher = MeanTeacher(momentum=0.999)
    batch = flat_batch(torch.load(folder / 'batch.pth'), case['device'])
    model.train()

    def run() -> dict:
        with parts('EMA'):
            mean_teacher.momentum_update(model, 0.999)
        outputs = model.train_step(batch, None)
        trainer.update(outputs['loss'])
        return dict(outputs['log_vars'])

    return run


def loader_run(folder: Path, case: dict, parts: Parts) -> Run:
    """Some batches of their data set and collation, always with the case's number of either kind."""
    cfg = run_path(str(Path(sys.argv[3]) / 'configs/soft_teacher/base.py'))  # its _base_ files are elsewhere
    sources = {name: dict(cfg['data']['train'][name], img_prefix='') for name in ('sup', 'unsup')}
    for name, file in dict(sup='labeled.json', unsup='unlabeled.json').items():
        sources[name]['ann_file'] = str(folder / file)
    dataset = build_dataset(ConfigDict(type='SemiDataset', **sources))
    one_batch = partial(collate, samples_per_gpu=sum(case['images']), flatten=True)
    return loading(peer_loader(dataset, [len(dataset.sup), len(dataset.unsup)], one_batch, case), case)


def ema_run(folder: Path, case: dict, parts: Parts) -> Run:
    """One update of the teacher."""
    model, mean_teacher = build_model(folder, case), MeanTeacher(momentum=0.999)
    return lambda: mean_teacher.momentum_update(model, 0.999)


def inference_run(folder: Path, case: dict, parts: Parts) -> Run:
    """Detections on the case's unlabeled images, one after another."""
    model = build_model(folder, case).eval()
    batch = flat_batch(dict(unsup_teacher=torch.load(folder / 'batch.pth')['unsup_teacher']), case['device'])
    return detecting(
        lambda image, meta: sum(map(len, model.simple_test(image, [meta])[0])), batch['img'], batch['img_metas']
    )


if __name__ == '__main__':
    serve(dict(step=step_run, count=counting(step_run), loader=loader_run, ema=ema_run, inference=inference_run))
