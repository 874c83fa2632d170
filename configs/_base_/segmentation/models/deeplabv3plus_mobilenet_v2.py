# DeepLabV3+ on a MobileNetV2 with ImageNet weights, stride 16, for a CPU or a small GPU.
_base_ = './deeplabv3plus_r50_v1c.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 2, 4, 6),
        norm_cfg=norm_cfg,
        init_cfg=dict(type='PretrainedBackbone', checkpoint='torchvision://mobilenet_v2'),
    ),
    decode_head=dict(in_channels=320, channels=96, c1_in_channels=24, c1_channels=12, norm_cfg=norm_cfg),
)
