# The same on a ResNet-50. Feature maps begin at stride 4, anchors at 32 pixels.
_base_ = './soft_teacher_faster_rcnn_mobilenet_v2_fpn.py'
model = dict(
    detector=dict(
        backbone=dict(
            _delete_=True,
            type='ResNet',
            depth=50,
            num_stages=4,
            out_indices=(0, 1, 2, 3),
            frozen_stages=1,
            norm_cfg=dict(type='BN', requires_grad=False),
            norm_eval=True,
            style='pytorch',
            init_cfg=dict(type='PretrainedBackbone', checkpoint='torchvision://resnet50'),
        ),
        neck=dict(in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
        rpn_head=dict(
            in_channels=256,
            feat_channels=256,
            anchor_generator=dict(scales=[8], strides=[4, 8, 16, 32, 64]),
        ),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=256, featmap_strides=[4, 8, 16, 32]),
            bbox_head=dict(in_channels=256, fc_out_channels=1024),
        ),
        train_cfg=dict(
            rpn_proposal=dict(nms_pre=2000, max_per_img=1000),
            rcnn=dict(sampler=dict(num=512, pos_fraction=0.25)),
        ),
        test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=1000)),
    ),
)
