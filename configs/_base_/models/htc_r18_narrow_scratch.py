# The narrow detector as a Hybrid Task Cascade (HTC); its semantic branch tells the four shapes and the background.
_base_ = './cascade_rcnn_r18_narrow_scratch.py'
model = dict(
    type='HybridTaskCascade',
    roi_head=dict(
        type='HybridTaskCascadeRoIHead',
        interleaved=True,
        mask_info_flow=True,
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0, use_torchvision=True),
            out_channels=64,
            featmap_strides=[8, 16, 32],
        ),
        mask_head=[
            dict(
                type='HTCMaskHead',
                with_conv_res=with_conv_res,
                num_convs=2,
                in_channels=64,
                conv_out_channels=64,
                num_classes=4,
                loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
            )
            for with_conv_res in (False, True, True)
        ],
        semantic_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0, use_torchvision=True),
            out_channels=64,
            featmap_strides=[8],
        ),
        semantic_head=dict(
            type='FusedSemanticHead',
            num_ins=4,
            fusion_level=0,
            num_convs=2,
            in_channels=64,
            conv_out_channels=64,
            num_classes=5,
            loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, loss_weight=0.2),
        ),
    ),
    train_cfg=dict(rpn=dict(allowed_border=0)),
    test_cfg=dict(rcnn=dict(score_thr=0.001)),
)
