# A quarter of a ResNet-18's width, from scratch: the generated shapes on a CPU, in minutes.
_base_ = './deeplabv3plus_r50_v1c.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(
        depth=18, stem_channels=16, base_channels=16, dilations=(1, 1, 1, 2), norm_cfg=norm_cfg, init_cfg=None
    ),
    decode_head=dict(
        in_channels=128, channels=48, dilations=(1, 3, 6), c1_in_channels=16, c1_channels=12, norm_cfg=norm_cfg
    ),
)
