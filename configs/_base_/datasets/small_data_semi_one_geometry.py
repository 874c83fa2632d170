# A data set of one's own, for Dense Teacher: both views of an image have one geometry, for the pipeline forks after it.
# The strong view's ops are the authors'. They see each labeled image twice, weak and strong; here it is either.
_base_ = './small_data_semi.py'
pseudo_score_thr = 0.3  # of FCOS's scores, for label-once
strong_ops = [
    dict(type='JitterColor', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=0.8),
    dict(type='GrayColor', prob=0.2),
    dict(type='BlurImage', radius=(0.1, 2.0), prob=0.5),
    dict(type='EraseWithNoise', area=(0.05, 0.2), aspect=(0.3, 3.3), prob=0.7),
    dict(type='EraseWithNoise', area=(0.02, 0.2), aspect=(0.1, 6), prob=0.5),
    dict(type='EraseWithNoise', area=(0.02, 0.2), aspect=(0.05, 8), prob=0.3),
]
sup_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    dict(type='AutoAugment', policies=[[dict(type='Identity')], strong_ops]),
    {{_base_.to_batch}},
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels']),
]
weak_pipeline = [{{_base_.to_batch}}, dict(type='Collect', keys=['img'], meta_keys={{_base_.view_meta}})]
strong_pipeline = [*strong_ops, {{_base_.to_batch}}, dict(type='Collect', keys=['img'], meta_keys={{_base_.view_meta}})]
unsup_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeWithMatrix', img_scale='${train_scale}', multiscale_mode='range', keep_ratio=True),
    dict(type='FlipWithMatrix', flip_ratio=0.5),
    dict(type='MultiBranch', unsup_teacher=weak_pipeline, unsup_student=strong_pipeline),
]
labeled_dataset = dict(pipeline=[dict(type='MultiBranch', sup=sup_pipeline)])
unlabeled_dataset = dict(pipeline=unsup_pipeline)
# STAC's in place of it: pseudo boxes of tools/pseudo_label.py.
pseudo_labeled_dataset = dict(
    pipeline=[
        *sup_pipeline[:4],
        dict(
            type='MultiBranch',
            unsup_student=[
                *strong_pipeline[:-1],
                dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels'], meta_keys={{_base_.view_meta}}),
            ],
        ),
    ],
)
data = dict(train=dict(labeled=labeled_dataset, unlabeled=unlabeled_dataset))
