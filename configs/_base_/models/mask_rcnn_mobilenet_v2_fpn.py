# Mask R-CNN on a MobileNetV2 with ImageNet weights, for a CPU or a small GPU. All classes share the masks, as they do
# the box regression: few objects teach it.
_base_ = './faster_rcnn_mobilenet_v2_fpn.py'
model = dict(
    type='MaskRCNN',
    roi_head=dict(
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0, use_torchvision=True),
            out_channels=96,
            featmap_strides=[8, 16, 32],
        ),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=2,
            in_channels=96,
            conv_out_channels=96,
            num_classes=1,
            class_agnostic=True,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(rcnn=dict(mask_size=28)),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)
