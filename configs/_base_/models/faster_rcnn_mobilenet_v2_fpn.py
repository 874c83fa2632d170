# Faster R-CNN on a MobileNetV2 with ImageNet weights, for a CPU or a small GPU. Its BatchNorm stays as it is: a few
# images per step are too few to measure anew. All classes share the box regression: few boxes teach it. Feature maps
# begin at stride 8, anchors at 24 pixels.
_base_ = './faster_rcnn_r50_caffe_fpn.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(2, 4, 7),
        frozen_stages=2,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        init_cfg=dict(type='PretrainedBackbone', checkpoint='torchvision://mobilenet_v2'),
    ),
    neck=dict(in_channels=[32, 96, 1280], out_channels=96, num_outs=4),
    rpn_head=dict(in_channels=96, feat_channels=96, anchor_generator=dict(scales=[3], strides=[8, 16, 32, 64])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=96, featmap_strides=[8, 16, 32]),
        # `classes` sets other numbers.
        bbox_head=dict(in_channels=96, fc_out_channels=256, num_classes=1, reg_class_agnostic=True),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=250),
        rcnn=dict(sampler=dict(num=128, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=250)),
)
