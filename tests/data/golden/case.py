"""Deterministic model weights and inputs for the parity case: shared by the generator and the check."""

import math
import zlib

import numpy as np
import torch

NUM_CLASSES = 5
SUP_HW, TEACHER_HW, STUDENT_HW = (192, 256), (192, 256), (240, 320)


def detector_cfg(match_low_quality=True):
    """Faster R-CNN R18-FPN whose samplers take every candidate, so that no random draw decides a loss.

    With ``match_low_quality`` tied anchors make the RPN's targets jump at rounding errors: off for runs of steps.
    """
    norm = dict(type='BN', requires_grad=False)
    return dict(
        type='FasterRCNN',
        backbone=dict(
            type='ResNet',
            depth=18,
            num_stages=4,
            out_indices=(0, 1, 2, 3),
            frozen_stages=1,
            norm_cfg=norm,
            norm_eval=True,
            style='pytorch',
        ),
        neck=dict(type='FPN', in_channels=[64, 128, 256, 512], out_channels=64, num_outs=5),
        rpn_head=dict(
            type='RPNHead',
            in_channels=64,
            feat_channels=64,
            anchor_generator=dict(
                type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64]
            ),
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[1.0] * 4),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
        roi_head=dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor',
                roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
                out_channels=64,
                featmap_strides=[4, 8, 16, 32],
            ),
            bbox_head=dict(
                type='Shared2FCBBoxHead',
                in_channels=64,
                fc_out_channels=128,
                roi_feat_size=7,
                num_classes=NUM_CLASSES,
                bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
                reg_class_agnostic=False,
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='L1Loss', loss_weight=1.0),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=dict(
                    type='MaxIoUAssigner',
                    pos_iou_thr=0.7,
                    neg_iou_thr=0.3,
                    min_pos_iou=0.3,
                    match_low_quality=match_low_quality,
                    ignore_iof_thr=-1,
                ),
                sampler=dict(
                    type='RandomSampler', num=10**6, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False
                ),
                allowed_border=-1,
                pos_weight=-1,
                debug=False,
            ),
            rpn_proposal=dict(nms_pre=400, max_per_img=200, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
            rcnn=dict(
                assigner=dict(
                    type='MaxIoUAssigner',
                    pos_iou_thr=0.5,
                    neg_iou_thr=0.5,
                    min_pos_iou=0.5,
                    match_low_quality=False,
                    ignore_iof_thr=-1,
                ),
                sampler=dict(
                    type='RandomSampler', num=10**6, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True
                ),
                pos_weight=-1,
                debug=False,
            ),
        ),
        test_cfg=dict(
            rpn=dict(nms_pre=400, max_per_img=200, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
            rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
        ),
    )


@torch.no_grad()
def fill(model):
    """Fill every parameter and buffer from a generator seeded by its own name."""
    for name, t in list(model.named_parameters()) + list(model.named_buffers()):
        g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        if t.dtype in (torch.int64,):
            continue
        if name.endswith('running_var'):
            t.fill_(1.0)
        elif name.endswith('running_mean'):
            t.zero_()
        elif t.dim() == 1 and ('bn' in name or 'downsample.1' in name):
            t.fill_(1.0 if name.endswith('weight') else 0.0)
            if 'bn2.weight' in name:
                t.fill_(0.3)
        elif t.dim() >= 2:
            fan = t[0].numel()
            gain = 1.0 if 'fc_' in name or 'rpn_conv' in name or 'neck' in name else math.sqrt(2)
            if 'rpn_cls' in name or 'rpn_reg' in name:
                gain = 0.05
            if 'fc_cls' in name:
                gain = 0.3
            if 'fc_reg' in name:
                gain = 0.04
            t.copy_(torch.randn(t.shape, generator=g) * gain / math.sqrt(fan))
        else:
            t.zero_()


def image(seed, hw):
    g = torch.Generator().manual_seed(seed)
    h, w = hw
    low = torch.randn(1, 3, h // 16, w // 16, generator=g)
    img = torch.nn.functional.interpolate(low, size=hw, mode='bilinear', align_corners=False)
    return img[0] * 2 + 0.2 * torch.randn(3, h, w, generator=g)


def meta(name, hw, tag, matrix):
    h, w = hw
    return dict(
        filename=name,
        ori_filename=name,
        ori_shape=(h, w, 3),
        img_shape=(h, w, 3),
        pad_shape=(h, w, 3),
        scale_factor=np.ones(4, np.float32),
        flip=False,
        flip_direction=None,
        img_norm_cfg=dict(mean=np.zeros(3, np.float32), std=np.ones(3, np.float32), to_rgb=False),
        tag=tag,
        transform_matrix=np.asarray(matrix, np.float32),
        batch_input_shape=hw,
    )


def flip_scale(hw_in, hw_out):
    """Original view -> horizontally flipped view, then scaled to hw_out."""
    sx, sy = hw_out[1] / hw_in[1], hw_out[0] / hw_in[0]
    return np.array([[-sx, 0, hw_out[1]], [0, sy, 0], [0, 0, 1]], np.float32)


def branches():
    eye = np.eye(3, dtype=np.float32)
    sup = dict(
        img=torch.stack([image(1, SUP_HW), image(2, SUP_HW)]),
        img_metas=[meta(f's{i}.jpg', SUP_HW, 'sup', eye) for i in range(2)],
        gt_bboxes=[torch.tensor([[20.0, 30, 120, 150], [150, 40, 240, 170]]), torch.tensor([[60.0, 60, 140, 100]])],
        gt_labels=[torch.tensor([0, 3]), torch.tensor([4])],
    )
    names = ['u0.jpg', 'u1.jpg']
    t_imgs = [image(11, TEACHER_HW), image(12, TEACHER_HW)]
    s_imgs = [
        torch.nn.functional.interpolate(t[None].flip(-1), size=STUDENT_HW, mode='bilinear', align_corners=False)[0]
        for t in t_imgs
    ]
    M = flip_scale(TEACHER_HW, STUDENT_HW)
    empty = dict(gt_bboxes=[torch.zeros(0, 4)] * 2, gt_labels=[torch.zeros(0, dtype=torch.long)] * 2)
    teacher = dict(
        img=torch.stack(t_imgs), img_metas=[meta(n, TEACHER_HW, 'unsup_teacher', eye) for n in names], **empty
    )
    # the student rows come in the other order: rows are matched by filename
    student = dict(
        img=torch.stack(s_imgs[::-1]), img_metas=[meta(n, STUDENT_HW, 'unsup_student', M) for n in names[::-1]], **empty
    )
    return dict(sup=sup, unsup_teacher=teacher, unsup_student=student)
