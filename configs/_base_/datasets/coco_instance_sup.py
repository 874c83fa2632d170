# COCO's labeled images alone, with their masks; all else is as in coco_sup.py.
_base_ = './coco_sup.py'
img_norm_cfg = dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadInstances'),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    {{_base_.color}},
    dict(type='Pad', size_divisor=32),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks']),
]
data = dict(train=dict(pipeline=train_pipeline))
