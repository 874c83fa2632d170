# FCOS with the improvements of its journal paper (centre sampling, centerness from the box branch, GIoU, normalised
# distances), as in mmdet's model zoo: what Dense Teacher's authors use, but for centerness, where they predict the IoU.
_base_ = './retinanet_r50_caffe_fpn.py'
model = dict(
    type='FCOS',
    neck=dict(add_extra_convs='on_output', relu_before_extra_convs=True),
    bbox_head=dict(
        _delete_=True,
        type='FCOSHead',
        num_classes=80,
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        strides=[8, 16, 32, 64, 128],
        norm_on_bbox=True,
        centerness_on_reg=True,
        center_sampling=True,
        dcn_on_last_conv=False,
        conv_bias=True,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
    ),
    train_cfg=dict(assigner=None),  # by place and size, in the head
    test_cfg=dict(nms=dict(iou_threshold=0.6)),
)
