# DeepLabV3+ on Xception-65 of stride 16, Simple Baseline's own network: a backbone of timm (`pip install ssod[timm]`).
# The authors start from TensorFlow's ImageNet weights. They are timm's xception65.tf_in1k, model.safetensors: save it
# under the name below. They were trained on pixels from -1 to 1. Ours have about twice that range, which the first
# BatchNorm takes out. timm has no momentum of 0.9997 in BatchNorm, as TensorFlow's has.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='TimmBackbone',
        model_name='xception65',
        output_stride=16,
        out_indices=(1, 4),  # of stride 4, 256 channels, and 16, 2048 channels
        norm_eval=False,
        sync_bn=True,
        init_cfg=dict(type='PretrainedBackbone', checkpoint='weights/xception65.tf_in1k.safetensors'),
    ),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead',
        in_channels=2048,
        in_index=1,
        channels=256,
        dilations=(1, 6, 12, 18),
        c1_in_channels=256,
        c1_channels=48,
        dropout_ratio=0.1,
        num_classes=19,  # `classes` sets others
        norm_cfg=norm_cfg,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),  # the mean over the valid pixels, as in torch
    ),
    auxiliary_head=None,
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
