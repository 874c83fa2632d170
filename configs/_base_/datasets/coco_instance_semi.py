# COCO's instance masks, partly labeled: labeled images bring their masks, all else is as in coco_semi.py.
_base_ = './coco_semi.py'
sup_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadInstances'),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    {{_base_.color}},
    {{_base_.to_batch}},
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks']),
]
labeled_dataset = dict(pipeline=[dict(type='MultiBranch', sup=sup_pipeline)])
# STAC's: the pseudo-label file has masks, too.
pseudo_labeled_dataset = dict(
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadInstances'),
        dict(
            type='MultiBranch',
            unsup_student=[
                dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
                dict(type='FlipWithMatrix', flip_ratio=0.5),
                dict(type='RandomOrder', transforms=[{{_base_.color}}, {{_base_.geometry}}]),
                dict(type='RandomErasing', n_patches='${erasing_patches}', ratio='${erasing_ratio}'),
                {{_base_.to_batch}},
                dict(
                    type='Collect',
                    keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks'],
                    meta_keys={{_base_.view_meta}},
                ),
            ],
        ),
    ],
)
data = dict(train=dict(labeled=labeled_dataset))
