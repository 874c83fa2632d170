"""A detector small enough to train in a test, and weights for it that leave nothing to chance."""

import torch
from mmcv import ConfigDict

NUM_CLASSES = 3
STRIDES = [8, 16, 32]
ALL = dict(type='RandomSampler', num=10**6, pos_fraction=1.0, neg_pos_ub=-1)  # takes every candidate: nothing random


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


# By part of a parameter's name: features of about 1, class scores from 0 to 1, box variances from 0.03 to 0.13.
GAINS = {'lateral': 0.03, 'fc_cls': 3.0, 'reg': 1.0}


def lively(model: torch.nn.Module) -> None:
    """Random weights whose scores and boxes differ from image to image, the teacher's a little from the student's."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.student.named_parameters():
        if value.dim() > 1:
            gain = next((g for part, g in GAINS.items() if part in name), 1.4)
            value.data = torch.randn(value.shape, generator=generator) * gain / value[0].numel() ** 0.5
    model.teacher.load_state_dict(model.student.state_dict())
    for value in model.teacher.parameters():
        value.data += 0.05 * value.std(correction=0) * torch.randn(value.shape, generator=generator)
