# RetinaNet on a MobileNetV2 with ImageNet weights, for a CPU or a small GPU: backbone and sizes are those of
# faster_rcnn_mobilenet_v2_fpn.py.
_base_ = './retinanet_r50_caffe_fpn.py'
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
    neck=dict(in_channels=[32, 96, 1280], out_channels=96, start_level=0, num_outs=4),
    bbox_head=dict(
        num_classes=1,  # `classes` sets other numbers
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=3, strides=[8, 16, 32, 64]),
    ),
    test_cfg=dict(nms_pre=500),
)
