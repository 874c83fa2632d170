# The demo's generated shapes (tools/dataset/make_shapes.py): the labeled 15 of 300 training images.
# `${name}` takes the setting of that name, so one override of it reaches every place.
data_root = 'work_dirs/demo/data/'
classes = ['circle', 'triangle', 'star', 'cross']
fold = 1
percent = 5
train_scale = [(192, 128), (192, 176)]  # the short side is drawn from this range
test_scale = (160, 160)
# What the trained baseline labels for STAC (tools/pseudo_label.py), and from which score on. Training reads neither.
unlabeled_ann = 'annotations/semi_supervised/instances_train.${fold}@${percent}-unlabeled.json'
unlabeled_images = 'images/train/'
pseudo_score_thr = 0.9

img_norm_cfg = dict(mean=[127.5, 127.5, 127.5], std=[64.0, 64.0, 64.0], to_rgb=False)
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
# Images of a step that lr and schedule are for: one process of 4. Another batch: --auto-scale.
base_batch = dict(labeled=4)
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=1,
    test_samples_per_gpu=8,
    train=dict(
        type='CocoDataset',
        data_root='${data_root}',
        classes='${classes}',
        ann_file='annotations/semi_supervised/instances_train.${fold}@${percent}.json',
        img_prefix='images/train/',
        pipeline=train_pipeline,
    ),
    val=dict(
        type='CocoDataset',
        data_root='${data_root}',
        classes='${classes}',
        ann_file='annotations/instances_val.json',
        img_prefix='images/val/',
        pipeline=test_pipeline,
    ),
    test=dict(
        type='CocoDataset',
        data_root='${data_root}',
        classes='${classes}',
        ann_file='annotations/instances_val.json',
        img_prefix='images/val/',
        pipeline=test_pipeline,
    ),
)
