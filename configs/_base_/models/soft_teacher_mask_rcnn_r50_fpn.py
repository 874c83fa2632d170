# The small-data recipe over a Mask R-CNN on a ResNet-50. Feature maps begin at stride 4, anchors at 32 pixels.
_base_ = './soft_teacher_faster_rcnn_r50_fpn.py'
model = dict(
    detector=dict(
        type='MaskRCNN',
        roi_head=dict(
            mask_roi_extractor=dict(
                type='SingleRoIExtractor',
                roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0, use_torchvision=True),
                out_channels=256,
                featmap_strides=[4, 8, 16, 32],
            ),
            mask_head=dict(
                type='FCNMaskHead',
                num_convs=4,
                in_channels=256,
                conv_out_channels=256,
                num_classes=1,
                class_agnostic=True,
                loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
            ),
        ),
        train_cfg=dict(rcnn=dict(mask_size=28)),
        test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
    ),
)
