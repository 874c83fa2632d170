# COCO's masks and COCO-stuff's maps, partly labeled: for HTC with its semantic branch.
# Unlabeled images have neither. Maps have the stride of the features that the branch predicts on.
_base_ = './coco_instance_semi.py'
img_norm_cfg = dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
sup_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadInstances', with_seg=True),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    {{_base_.color}},
    dict(type='NormalizeOnDevice', **img_norm_cfg, size_divisor=32, seg_stride=8),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks', 'gt_semantic_seg']),
]
labeled_dataset = dict(seg_prefix='stuffthingmaps/train2017/', pipeline=[dict(type='MultiBranch', sup=sup_pipeline)])
data = dict(train=dict(labeled=labeled_dataset))
