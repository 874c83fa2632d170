# Faster R-CNN on a ResNet-18 trained from scratch, for images of a few hundred pixels on a small machine.
# BatchNorm trains (the teacher averages its statistics too); feature maps begin at stride 8, anchors at 24 pixels.
_base_ = './faster_rcnn_r50_caffe_fpn.py'
model = dict(
    backbone=dict(
        depth=18,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
        zero_init_residual=False,
    ),
    neck=dict(in_channels=[128, 256, 512], out_channels=64, num_outs=4),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[3], strides=[8, 16, 32, 64])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, featmap_strides=[8, 16, 32]),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=3),  # BCCD's; `classes` sets others
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=250),
        rcnn=dict(sampler=dict(num=128, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=250)),
)
