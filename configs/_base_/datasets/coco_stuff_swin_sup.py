# COCO's masks and COCO-stuff's maps for HTC++ with a Swin Transformer: coco_stuff_sup.py with the scales of the Swin
# paper (Liu et al., ICCV 2021: short side 400 to 1400, long side at most 1600) and ImageNet's colors.
_base_ = './coco_stuff_sup.py'
train_scale = [(1600, 400), (1600, 1400)]
test_scale = (1600, 1000)

img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadInstances', with_seg=True),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    {{_base_.color}},
    dict(type='Pad', size_divisor=32),
    dict(type='SegRescale', scale_factor=1 / 8),  # after padding: maps have the features' stride
    dict(type='Normalize', **img_norm_cfg),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks', 'gt_semantic_seg']),
]
# No ${} here: MMDetection's init_detector, which fills in none, reads this pipeline.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=test_scale,
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ],
    ),
]
# Images of a step that lr and schedule are for: 16 GPUs x 1. Another batch: --auto-scale.
base_batch = dict(labeled=16)
data = dict(
    train=dict(ann_file='annotations/instances_train2017.json', pipeline=train_pipeline),
    val=dict(pipeline=test_pipeline),
    test=dict(pipeline=test_pipeline),
)
