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


FOCAL = dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0)
QUALITY_FOCAL = dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0)
GIOU = dict(type='GIoULoss', loss_weight=2.0)
CENTERNESS = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)
ONE_ANCHOR = dict(type='AnchorGenerator', ratios=[1.0], octave_base_scale=8, scales_per_octave=1, strides=[8, 16, 32])
CODER = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2])
CONVS = dict(num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1)
GROUPS = dict(type='GN', num_groups=4, requires_grad=True)

# Detector and head of MMDetection -> settings of the head, and of its training.
DENSE = {
    'FCOS': dict(
        type='FCOSHead', **CONVS, strides=[8, 16, 32], regress_ranges=((-1, 32), (32, 64), (64, 1e8)), norm_cfg=GROUPS,
        norm_on_bbox=True, centerness_on_reg=True, center_sampling=True, conv_bias=True,
        loss_cls=FOCAL, loss_bbox=GIOU, loss_centerness=CENTERNESS,
    ),
    'ATSS': dict(
        type='ATSSHead', **CONVS, norm_cfg=GROUPS, anchor_generator=ONE_ANCHOR, bbox_coder=CODER,
        loss_cls=FOCAL, loss_bbox=GIOU, loss_centerness=CENTERNESS,
    ),
    'GFL': dict(
        type='GFLHead', **CONVS, norm_cfg=GROUPS, anchor_generator=ONE_ANCHOR, reg_max=16,
        loss_cls=QUALITY_FOCAL, loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25), loss_bbox=GIOU,
    ),
    'PAA': dict(
        type='PAAHead', reg_decoded_bbox=True, score_voting=True, topk=9, **CONVS, norm_cfg=GROUPS,
        anchor_generator=ONE_ANCHOR, bbox_coder=CODER,
        loss_cls=FOCAL, loss_bbox=GIOU, loss_centerness=dict(CENTERNESS, loss_weight=0.5),
    ),
    'VFNet': dict(
        type='VFNetHead', **CONVS, strides=[8, 16, 32], regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
        norm_cfg=GROUPS, center_sampling=False, dcn_on_last_conv=False, use_atss=True, use_vfl=True,
        anchor_generator=dict(ONE_ANCHOR, center_offset=0.0),
        loss_cls=dict(type='VarifocalLoss', use_sigmoid=True, alpha=0.75, gamma=2.0, iou_weighted=True),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.5), loss_bbox_refine=GIOU,
    ),
    'TOOD': dict(
        type='TOODHead', **dict(CONVS, stacked_convs=2), norm_cfg=GROUPS, num_dcn=0, anchor_type='anchor_free',
        anchor_generator=ONE_ANCHOR, bbox_coder=CODER, initial_loss_cls=dict(FOCAL, activated=True),
        loss_cls=dict(QUALITY_FOCAL, activated=True), loss_bbox=GIOU,
    ),
    'YOLOX': dict(type='YOLOXHead', **dict(CONVS, stacked_convs=2), strides=[8, 16, 32]),
}  # fmt: skip


def dense(faster_rcnn: ConfigDict, kind: str) -> ConfigDict:
    """A one-stage detector, by its class, on the backbone and neck of the tiny Faster R-CNN."""
    if kind == 'RetinaNet':
        return retinanet(faster_rcnn)
    atss = dict(type='ATSSAssigner', topk=9)
    train_cfg = dict(assigner=atss, allowed_border=-1, pos_weight=-1, debug=False)
    test_cfg = dict(
        nms_pre=60, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100
    )
    cfg = ConfigDict(type=kind, bbox_head=copy.deepcopy(DENSE[kind]), train_cfg=train_cfg, test_cfg=test_cfg)
    cfg.update(backbone=copy.deepcopy(faster_rcnn.backbone), neck=copy.deepcopy(faster_rcnn.neck))
    if kind == 'PAA':
        cfg.train_cfg.assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.1, neg_iou_thr=0.1, min_pos_iou=0)
    if kind == 'TOOD':
        cfg.train_cfg.update(initial_epoch=0, initial_assigner=atss, alpha=1, beta=6)
        cfg.train_cfg.assigner = dict(type='TaskAlignedAssigner', topk=13)
    if kind == 'YOLOX':
        cfg.train_cfg = ConfigDict(assigner=dict(type='SimOTAAssigner', center_radius=2.5))
        cfg.update(input_size=(128, 128), random_size_range=(4, 4))
    return cfg


KINDS = ('RetinaNet', *DENSE)


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
