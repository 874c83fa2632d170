"""Detectors of MMDetection with several and with other heads, as small as ``conftest.tiny_detector``; their batches."""

import copy

import numpy as np
import torch
from mmcv import ConfigDict
from mmdet.core import BitmapMasks


def mask_rcnn(faster_rcnn: ConfigDict) -> ConfigDict:
    """Mask R-CNN from the config of the tiny Faster R-CNN."""
    cfg = copy.deepcopy(faster_rcnn)
    cfg.type = 'MaskRCNN'
    cfg.roi_head.mask_roi_extractor = copy.deepcopy(cfg.roi_head.bbox_roi_extractor)
    cfg.roi_head.mask_roi_extractor.roi_layer.output_size = 6
    cfg.roi_head.mask_head = mask_head('FCNMaskHead')
    cfg.train_cfg.rcnn.mask_size = 12
    cfg.test_cfg.rcnn.mask_thr_binary = 0.5
    return cfg


def cascade_rcnn(faster_rcnn: ConfigDict, num_stages: int = 3, class_agnostic: bool = True) -> ConfigDict:
    """Cascade R-CNN from the config of the tiny Faster R-CNN: each stage asks for more overlap than the one before."""
    cfg = copy.deepcopy(faster_rcnn)
    cfg.type = 'CascadeRCNN'
    heads, weights = cfg.roi_head, [1, 0.5, 0.25][:num_stages]
    heads.update(type='CascadeRoIHead', num_stages=num_stages, stage_loss_weights=weights)
    heads.bbox_head = [copy.deepcopy(heads.bbox_head) for _ in range(num_stages)]
    cfg.train_cfg.rcnn = [copy.deepcopy(cfg.train_cfg.rcnn) for _ in range(num_stages)]
    for stage, (head, own) in enumerate(zip(heads.bbox_head, cfg.train_cfg.rcnn, strict=True)):
        head.reg_class_agnostic = class_agnostic
        overlap = 0.5 + 0.1 * stage
        own.assigner.update(pos_iou_thr=overlap, neg_iou_thr=overlap, min_pos_iou=overlap)
    return cfg


def cascade_mask_rcnn(faster_rcnn: ConfigDict, num_stages: int = 3) -> ConfigDict:
    """Cascade Mask R-CNN, class-agnostic boxes."""
    cfg = cascade_rcnn(mask_rcnn(faster_rcnn), num_stages)
    cfg.roi_head.mask_head = [copy.deepcopy(cfg.roi_head.mask_head) for _ in range(num_stages)]
    return cfg


def hybrid_task_cascade(faster_rcnn: ConfigDict) -> ConfigDict:
    """Hybrid Task Cascade: lists of box heads and of mask heads, and a semantic head."""
    cfg = mask_rcnn(faster_rcnn)
    cfg.type = 'HybridTaskCascade'
    heads = cfg.roi_head
    heads.update(type='HybridTaskCascadeRoIHead', num_stages=3, stage_loss_weights=[1, 0.5, 0.25])
    heads.bbox_head = [copy.deepcopy(dict(heads.bbox_head, reg_class_agnostic=True)) for _ in range(3)]
    heads.mask_head = [mask_head('HTCMaskHead', with_conv_res=stage > 0) for stage in range(3)]
    heads.semantic_roi_extractor = dict(
        type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=6, sampling_ratio=0),
        out_channels=16, featmap_strides=[8],
    )  # fmt: skip
    heads.semantic_head = dict(
        type='FusedSemanticHead', num_ins=3, fusion_level=0, num_convs=1, in_channels=16, conv_out_channels=16,
        num_classes=5, loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, loss_weight=0.2),
    )  # fmt: skip
    cfg.train_cfg.rcnn = [copy.deepcopy(cfg.train_cfg.rcnn) for _ in range(3)]
    return cfg


def mask_head(kind: str, **settings: object) -> dict:
    """A mask head with one convolution."""
    loss = dict(type='CrossEntropyLoss', use_mask=True)
    return dict(type=kind, num_convs=1, in_channels=16, conv_out_channels=16, num_classes=3, loss_mask=loss, **settings)


def retinanet(faster_rcnn: ConfigDict) -> ConfigDict:
    """RetinaNet on the backbone and neck of the tiny Faster R-CNN."""
    cfg = copy.deepcopy(faster_rcnn)
    head = dict(
        type='RetinaHead', num_classes=3, in_channels=16, stacked_convs=1, feat_channels=16,
        anchor_generator=cfg.rpn_head.anchor_generator, bbox_coder=cfg.rpn_head.bbox_coder,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True), loss_bbox=dict(type='L1Loss'),
    )  # fmt: skip
    train_cfg = dict(assigner=cfg.train_cfg.rpn.assigner, allowed_border=-1, pos_weight=-1)
    return ConfigDict(
        type='RetinaNet', backbone=cfg.backbone, neck=cfg.neck, bbox_head=head, train_cfg=train_cfg,
        test_cfg=dict(cfg.test_cfg.rcnn, nms_pre=60, min_bbox_size=0),
    )  # fmt: skip


def with_masks(batch: dict) -> dict:
    """A labeled batch whose boxes are filled masks, with a map of their labels at stride 8, which HTC wants."""
    height, width = batch['img'].shape[-2:]
    masks, maps = [], torch.zeros(len(batch['img']), 1, height, width, dtype=torch.long)
    for image, (boxes, labels) in enumerate(zip(batch['gt_bboxes'], batch['gt_labels'], strict=True)):
        filled = np.zeros((len(boxes), height, width), np.uint8)
        for mask, (x1, y1, x2, y2), label in zip(filled, boxes.int().tolist(), labels, strict=True):
            mask[y1:y2, x1:x2] = 1
            maps[image, 0, y1:y2, x1:x2] = label + 1
        masks.append(BitmapMasks(filled, height, width))
    return {**batch, 'gt_masks': masks, 'gt_semantic_seg': maps[..., ::8, ::8]}


@torch.no_grad()
def randomize(model: torch.nn.Module) -> torch.nn.Module:
    """Fill weights, in training mode, so that scores and boxes differ and BatchNorms do something."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if value.dim() > 1:
            value.copy_(torch.randn(value.shape, generator=generator) * 1.2 / value[0].numel() ** 0.5)
        elif value.is_floating_point() and ('bn' in name or 'downsample' in name):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return model.train()
