# The views of a segmentation data set; `ratio_range` and `crop_size` are settings of the file that builds on this one.
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
to_batch = dict(type='NormalizeOnDevice', **img_norm_cfg)
view_meta = ('filename', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction')
view_meta += ('img_norm_cfg', 'pseudo')
# What moves pixels comes before the views part: those of an image show the same crop.
geometry = [
    dict(type='Resize', ratio_range='${ratio_range}'),
    dict(type='RandomCrop', crop_size='${crop_size}', cat_max_ratio=1.0),
    dict(type='RandomFlip', prob=0.5),
]
with_labels = dict(type='Collect', keys=['img', 'gt_semantic_seg'], meta_keys=view_meta)
image_alone = dict(type='Collect', keys=['img'], meta_keys=view_meta)
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
plain_pipeline = [*load, *geometry, to_batch, with_labels]  # a supervised baseline's
sup_pipeline = [*load, *geometry, dict(type='MultiBranch', sup=[to_batch, with_labels])]
weak_view = [to_batch, image_alone]
strong_view = [dict(type='JitterGrayBlur'), to_batch, image_alone]
unsup_pipeline = [
    dict(type='LoadImageFromFile'),
    *geometry,
    dict(type='MultiBranch', unsup_teacher=weak_view, unsup_student=strong_view),
]
# Cross Pseudo Supervision and CCT see an unlabeled image once; UniMatch has two strong views.
single_pipeline = [dict(type='LoadImageFromFile'), *geometry, dict(type='MultiBranch', unsup_student=weak_view)]
two_strong_pipeline = [
    dict(type='LoadImageFromFile'),
    *geometry,
    dict(type='MultiBranch', unsup_teacher=weak_view, unsup_student=strong_view, unsup_student_2=strong_view),
]
# Simple Baseline's strong view: colors first, on the whole image; the pseudo labels move along.
strong_colors = dict(type='StrongColors', num=3, magnitude=20)
pseudo_pipeline = [*load, strong_colors, *geometry, dict(type='MultiBranch', unsup_student=[to_batch, with_labels])]
# No ${} here: MMSegmentation's init_segmentor, which fills in none, reads this pipeline.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=None,
        img_ratios=[1.0],  # the image's own size
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ],
    ),
]
