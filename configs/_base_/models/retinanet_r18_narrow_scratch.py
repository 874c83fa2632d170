# RetinaNet on the backbone of faster_rcnn_r18_narrow_scratch.py, trained from scratch, for images of 160 pixels.
_base_ = './retinanet_r50_caffe_fpn.py'
model = dict(
    backbone=dict(
        depth=18,
        base_channels=32,
        stem_channels=32,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
        zero_init_residual=False,
    ),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, start_level=0, num_outs=4),
    bbox_head=dict(
        num_classes=4,  # the shapes'; `classes` sets others
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=3, strides=[8, 16, 32, 64]),
    ),
)
