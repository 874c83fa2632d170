# COCO's labeled images alone, for the supervised baseline: plain MMDetection but for our ops.
# `${name}` takes the setting of that name, so one override of it reaches every place.
data_root = 'data/coco/'
classes = None  # COCO's 80
fold = 1
percent = 10
train_scale = [(1333, 400), (1333, 1200)]  # the short side is drawn from this range, the long side is at most 1333
test_scale = (1333, 800)
# What the trained baseline labels for STAC (tools/pseudo_label.py), and from which score on. Training reads neither.
unlabeled_ann = 'annotations/semi_supervised/instances_train2017.${fold}@${percent}-unlabeled.json'
unlabeled_images = 'train2017/'
pseudo_score_thr = 0.9

img_norm_cfg = dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
color = dict(
    type='AutoAugment',
    policies=[
        [dict(type='Identity')],
        [dict(type='AutoContrast')],
        [dict(type='Equalize')],
        [dict(type='Solarize')],
        [dict(type='Color')],
        [dict(type='Contrast')],
        [dict(type='Brightness')],
        [dict(type='Sharpness')],
        [dict(type='Posterize')],
    ],
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    color,
    # Padded before it is normalized, as the authors do: the strip holds -mean / std.
    dict(type='Pad', size_divisor=32),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels']),
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
# Images of a step that lr and schedule are for: 8 GPUs x 1. Another batch: --auto-scale.
base_batch = dict(labeled=8)
data = dict(
    samples_per_gpu=1,
    workers_per_gpu=2,
    train=dict(
        type='CocoDataset',
        data_root='${data_root}',
        classes='${classes}',
        ann_file='annotations/semi_supervised/instances_train2017.${fold}@${percent}.json',
        img_prefix='train2017/',
        pipeline=train_pipeline,
    ),
    val=dict(
        type='CocoDataset',
        data_root='${data_root}',
        classes='${classes}',
        ann_file='annotations/instances_val2017.json',
        img_prefix='val2017/',
        pipeline=test_pipeline,
    ),
    test=dict(
        type='CocoDataset',
        data_root='${data_root}',
        classes='${classes}',
        ann_file='annotations/instances_val2017.json',
        img_prefix='val2017/',
        pipeline=test_pipeline,
    ),
)
