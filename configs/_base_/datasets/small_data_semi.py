# A data set of one's own, as `ssod new` lays it out: annotations/{labeled,unlabeled,val[,test]}.json and
# images/{labeled,...}. A config over this one sets data_root, classes and the scales.
# `${name}` takes the setting of that name, so one override of it reaches every place.
data_root = 'data/mine/'
classes = ['object']
train_scale = [(800, 224), (800, 608)]  # the short side is drawn from this range: few images need many sizes
weak_scale = [(512, 352), (512, 416)]  # the teacher sees unlabeled images about as a test does
test_scale = (512, 384)
shear_factor = 'tanh'
erasing_patches = (1, 4)
erasing_ratio = (0, 0.2)
pseudo_score_thr = 0.9  # STAC learns from the pseudo boxes with a score above

pixel_mean = [123.675, 116.28, 103.53]
pixel_std = [58.395, 57.12, 57.375]
to_rgb = True
# Training views are padded before they are normalized, as the authors do: the strip holds -mean / std.
to_batch = dict(type='NormalizeOnDevice', mean='${pixel_mean}', std='${pixel_std}', to_rgb='${to_rgb}', size_divisor=32)
view_meta = ('filename', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction')
view_meta += ('img_norm_cfg', 'transform_matrix', 'branch')
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
geometry = dict(
    type='AutoAugment',
    policies=[
        [dict(type='RandomTranslate', x=(-0.1, 0.1))],
        [dict(type='RandomTranslate', y=(-0.1, 0.1))],
        [dict(type='RandomRotate', angle=(-30, 30))],
        [
            dict(type='RandomShear', x=(-30, 30), factor='${shear_factor}'),
            dict(type='RandomShear', y=(-30, 30), factor='${shear_factor}'),
        ],
    ],
)
sup_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    color,
    to_batch,
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels']),
]
weak_pipeline = [
    dict(type='ResizeWithMatrix', img_scale='${weak_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    to_batch,
    dict(type='Collect', keys=['img'], meta_keys=view_meta),
]
strong_pipeline = [
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    dict(type='RandomOrder', transforms=[color, geometry]),
    dict(type='RandomErasing', n_patches='${erasing_patches}', ratio='${erasing_ratio}'),
    to_batch,
    dict(type='Collect', keys=['img'], meta_keys=view_meta),
]
unsup_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiBranch', unsup_teacher=weak_pipeline, unsup_student=strong_pipeline),
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
            dict(type='Normalize', mean=pixel_mean, std=pixel_std, to_rgb=to_rgb),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ],
    ),
]
labeled_dataset = dict(
    type='CocoDataset',
    data_root='${data_root}',
    classes='${classes}',
    ann_file='annotations/labeled.json',
    img_prefix='images/labeled/',
    pipeline=[dict(type='MultiBranch', sup=sup_pipeline)],
)
unlabeled_dataset = dict(
    type='CocoDataset',
    data_root='${data_root}',
    classes='${classes}',
    ann_file='annotations/unlabeled.json',
    img_prefix='images/unlabeled/',
    filter_empty_gt=False,
    pipeline=unsup_pipeline,
)
# STAC's in place of it: pseudo boxes of tools/pseudo_label.py, which the strong view moves along.
pseudo_labeled_dataset = dict(
    type='PseudoLabelDataset',
    data_root='${data_root}',
    classes='${classes}',
    ann_file='annotations/pseudo_labels.json',
    img_prefix='images/unlabeled/',
    filter_empty_gt=True,
    score_thr='${pseudo_score_thr}',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(
            type='MultiBranch',
            unsup_student=[
                *strong_pipeline[:-1],
                dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels'], meta_keys=view_meta),
            ],
        ),
    ],
)
# Images of a step that lr and schedule are for: one process of 4. Another batch: --auto-scale.
base_batch = dict(labeled=2, unlabeled=2)
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=1,
    test_samples_per_gpu=4,
    sampler=dict(ratio=(1, 1), by_prob=False),
    train=dict(type='SemiDataset', labeled=labeled_dataset, unlabeled=unlabeled_dataset),
    val=dict(
        type='CocoDataset',
        data_root='${data_root}',
        classes='${classes}',
        ann_file='annotations/val.json',
        img_prefix='images/val/',
        pipeline=test_pipeline,
    ),
    test=dict(
        type='CocoDataset',
        data_root='${data_root}',
        classes='${classes}',
        ann_file='annotations/test.json',
        img_prefix='images/test/',
        pipeline=test_pipeline,
    ),
)
