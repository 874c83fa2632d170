# COCO's masks and COCO-stuff's maps for HTC++ with a Swin Transformer: coco_stuff_semi.py with the scales of the Swin
# paper (Liu et al., ICCV 2021: short side 400 to 1400, long side at most 1600) and ImageNet's colors.
_base_ = './coco_stuff_semi.py'
train_scale = [(1600, 400), (1600, 1400)]
test_scale = (1600, 1000)

img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
to_batch = dict(type='NormalizeOnDevice', **img_norm_cfg, size_divisor=32)
view_meta = ('filename', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction')
view_meta += ('img_norm_cfg', 'transform_matrix', 'branch')
sup_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadInstances', with_seg=True),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    {{_base_.color}},
    dict(type='NormalizeOnDevice', **img_norm_cfg, size_divisor=32, seg_stride=8),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks', 'gt_semantic_seg']),
]
weak_pipeline = [
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    to_batch,
    dict(type='Collect', keys=['img'], meta_keys=view_meta),
]
strong_pipeline = [
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    dict(type='RandomOrder', transforms=[{{_base_.color}}, {{_base_.geometry}}]),
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
            dict(type='Normalize', **img_norm_cfg),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ],
    ),
]
labeled_dataset = dict(
    ann_file='annotations/instances_train2017.json',
    pipeline=[dict(type='MultiBranch', sup=sup_pipeline)],
)
unlabeled_dataset = dict(
    ann_file='annotations/instances_unlabeled2017.json',
    img_prefix='unlabeled2017/',
    pipeline=unsup_pipeline,
)
# Images of a step that lr and schedule are for: 16 GPUs x 2. Another batch: --auto-scale.
base_batch = dict(labeled=16, unlabeled=16)
data = dict(
    samples_per_gpu=2,
    workers_per_gpu=4,
    sampler=dict(ratio=(1, 1), by_prob=False),
    train=dict(labeled=labeled_dataset, unlabeled=unlabeled_dataset),
    val=dict(pipeline=test_pipeline),
    test=dict(pipeline=test_pipeline),
)
