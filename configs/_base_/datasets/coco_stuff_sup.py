# COCO's labeled images alone, with masks and COCO-stuff's maps, for HTC's semantic branch.
_base_ = './coco_instance_sup.py'
img_norm_cfg = dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
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
data = dict(train=dict(seg_prefix='stuffthingmaps/train2017/', pipeline=train_pipeline))
