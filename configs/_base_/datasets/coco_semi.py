# COCO-format data, partly labelled. A data set of one's own changes the settings of this first block and nothing else.
data_root = 'data/coco/'
classes = None  # COCO's 80
fold = 1
percent = 10
labeled_ann = 'annotations/semi_supervised/instances_train2017.${fold}@${percent}.json'
unlabeled_ann = 'annotations/semi_supervised/instances_train2017.${fold}@${percent}-unlabeled.json'
pseudo_ann = 'annotations/pseudo_labels/${fold}@${percent}.json'  # by tools/pseudo_label.py; STAC learns from it
pseudo_score_thr = 0.9  # from the boxes with a score above
val_ann = 'annotations/instances_val2017.json'
test_ann = 'annotations/instances_val2017.json'
labeled_images = 'train2017/'
unlabeled_images = 'train2017/'
val_images = 'val2017/'
test_images = 'val2017/'
train_scale = [(1333, 400), (1333, 1200)]  # the short side is drawn from this range, the long side is at most 1333
test_scale = (1333, 800)
img_norm_cfg = dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
# Of the strong view.
erasing = dict(n_patches=(1, 4), ratio=(0, 0.2))
shear_factor = 'tanh'

normalize = dict(mean='${img_norm_cfg.mean}', std='${img_norm_cfg.std}', to_rgb='${img_norm_cfg.to_rgb}')
resize_and_flip = [
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
]
# Training views are padded before they are normalised, as the authors do: the strip holds -mean / std.
to_batch = dict(type='NormalizeOnDevice', **normalize, size_divisor=32)
view_meta = ('filename', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction')
view_meta += ('img_norm_cfg', 'transform_matrix', 'branch')
one_colour = dict(
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
one_geometry = dict(
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
sup_view = [
    *resize_and_flip,
    one_colour,
    to_batch,
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels']),
]
weak_view = [
    *resize_and_flip,
    to_batch,
    dict(type='Collect', keys=['img'], meta_keys=view_meta),
]
strong = [
    *resize_and_flip,
    dict(type='RandomOrder', transforms=[one_colour, one_geometry]),
    dict(type='RandomErasing', n_patches='${erasing.n_patches}', ratio='${erasing.ratio}'),
    to_batch,
]
strong_view = [*strong, dict(type='Collect', keys=['img'], meta_keys=view_meta)]
load_labeled = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
sup_pipeline = [*load_labeled, *sup_view]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale='${test_scale}',
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', **normalize),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ],
    ),
]
coco = dict(type='CocoDataset', data_root='${data_root}', classes='${classes}')
# The supervised baseline's training set: `data = dict(train='${labeled_train}')`.
labeled_train = dict(**coco, ann_file='${labeled_ann}', img_prefix='${labeled_images}', pipeline='${sup_pipeline}')
# STAC's unlabelled images, with pseudo boxes that the strong view moves along:
# `data = dict(train=dict(unlabeled='${pseudo_labeled}'))`.
boxes_too = dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels'], meta_keys=view_meta)
pseudo_labeled = dict(
    type='PseudoLabelDataset',
    data_root='${data_root}',
    classes='${classes}',
    ann_file='${pseudo_ann}',
    img_prefix='${unlabeled_images}',
    score_thr='${pseudo_score_thr}',
    pipeline=[*load_labeled, dict(type='MultiBranch', unsup_student=[*strong, boxes_too])],
)
data = dict(
    samples_per_gpu=5,
    workers_per_gpu=5,
    sampler=dict(ratio=(1, 4), by_prob=True),
    train=dict(
        type='SemiDataset',
        labeled=dict(
            **coco,
            ann_file='${labeled_ann}',
            img_prefix='${labeled_images}',
            pipeline=[*load_labeled, dict(type='MultiBranch', sup='${sup_view}')],
        ),
        unlabeled=dict(
            **coco,
            ann_file='${unlabeled_ann}',
            img_prefix='${unlabeled_images}',
            filter_empty_gt=False,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='MultiBranch', unsup_teacher='${weak_view}', unsup_student='${strong_view}'),
            ],
        ),
    ),
    val=dict(**coco, ann_file='${val_ann}', img_prefix='${val_images}', pipeline='${test_pipeline}'),
    test=dict(**coco, ann_file='${test_ann}', img_prefix='${test_images}', pipeline='${test_pipeline}'),
)
del coco, resize_and_flip, to_batch, view_meta, normalize, one_colour, one_geometry, strong, boxes_too, load_labeled
