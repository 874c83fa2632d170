"""A Soft Teacher that trains in a moment, on made data: whether an installation can."""

import numpy as np
import torch
from mmcv import ConfigDict

from .soft_teacher import SoftTeacher

NUM_CLASSES = 3
STRIDES = [8, 16, 32]
ALL = dict(type='RandomSampler', num=10**6, pos_fraction=1.0, neg_pos_ub=-1)  # takes every candidate: nothing random


def trial() -> tuple[SoftTeacher, dict[str, dict]]:
    """A tiny Soft Teacher, on the CPU, and a batch for it: one labeled image, two views of one unlabeled image."""
    everything = dict(type='ScoreFilter', thr=0.0)
    model = SoftTeacher(tiny_detector(), dict(candidate_score_thr=0.0, rpn_filter=everything, cls_filter=everything))
    sup = view('labeled')
    sup.update(gt_bboxes=[torch.tensor([[10.0, 10, 60, 70], [50, 40, 120, 90]])], gt_labels=[torch.tensor([0, 2])])
    return model.train(), dict(sup=sup, unsup_teacher=view('unlabeled'), unsup_student=view('unlabeled'))


def view(name: str) -> dict:
    """One branch of a batch: a single image of 96 x 128 pixels, drawn by its name, without boxes."""
    shape = (96, 128, 3)
    meta = dict(
        filename=name, ori_filename=name, ori_shape=shape, img_shape=shape, pad_shape=shape,
        scale_factor=np.ones(4, np.float32), flip=False, flip_direction=None,
        img_norm_cfg=dict(mean=np.zeros(3, np.float32), std=np.ones(3, np.float32), to_rgb=False),
        transform_matrix=np.eye(3, dtype=np.float32),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    return dict(img=torch.randn(1, 3, *shape[:2], generator=generator), img_metas=[meta])


def tiny_detector() -> ConfigDict:
    """Faster R-CNN, 8 to 64 channels wide, whose samplers leave nothing to chance."""
    coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4)
    proposals = dict(nms_pre=60, max_per_img=30, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)
    assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5)
    return ConfigDict(
        type='FasterRCNN',
        backbone=dict(
            type='ResNet', depth=18, base_channels=8, stem_channels=8, num_stages=4, out_indices=(1, 2, 3),
            frozen_stages=1, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True, style='pytorch',
        ),
        neck=dict(type='FPN', in_channels=[16, 32, 64], out_channels=16, num_outs=3),
        rpn_head=dict(
            type='RPNHead', in_channels=16, feat_channels=16,
            anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0, 2.0], strides=STRIDES),
            bbox_coder=dict(**coder, target_stds=[1.0] * 4),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True), loss_bbox=dict(type='L1Loss'),
        ),
        roi_head=dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor', out_channels=16, featmap_strides=STRIDES,
                roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
            ),
            bbox_head=dict(
                type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=32, roi_feat_size=3,
                num_classes=NUM_CLASSES, reg_class_agnostic=False,
                bbox_coder=dict(**coder, target_stds=[0.1, 0.1, 0.2, 0.2]),
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False), loss_bbox=dict(type='L1Loss'),
            ),
        ),
        train_cfg=dict(
            rpn=dict(assigner=assigner, sampler=dict(ALL, add_gt_as_proposals=False), allowed_border=-1, pos_weight=-1),
            rpn_proposal=proposals,
            rcnn=dict(assigner=assigner, sampler=dict(ALL, add_gt_as_proposals=True), pos_weight=-1),
        ),
        test_cfg=dict(
            rpn=dict(proposals, max_per_img=10),
            rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
        ),
    )  # fmt: skip
