# Soft Teacher on one's own data, the BCCD example: 20 labelled and 185 unlabelled images, from scratch, on a CPU or
# one GPU. The baseline's data, labelled images a step and schedule. docs/results.md has our figures.
#   python tools/train.py configs/soft_teacher/soft_teacher_faster_rcnn_r18_fpn_bccd.py
_base_ = [
    '../_base_/models/faster_rcnn_r18_fpn_scratch.py',
    '../_base_/datasets/bccd.py',
    '../_base_/schedules/adamw_bccd.py',
    '../_base_/runtime.py',
]
data = dict(samples_per_gpu=4, sampler=dict(ratio=(1, 1), by_prob=False))
model = dict(
    _delete_=True,
    type='SoftTeacher',
    detector={{_base_.model}},
    semi_train_cfg=dict(
        unsup_weight=2.0,
        rpn_filter=dict(type='ScoreFilter', thr=0.7),
        cls_filter=dict(type='ScoreFilter', thr=0.7),
        reg_filter=dict(type='JitterVarianceFilter', thr=0.04),
    ),
)
custom_hooks = [
    # Without pretrained weights the first pseudo boxes would mislead: train on the labelled images alone at first.
    dict(type='UnsupWeightHook', burn_in=300, ramp=100),
    dict(type='MeanTeacherHook', momentum=0.995),
    dict(type='PseudoBoxWarningHook', patience=200),
    dict(type='PseudoBoxImageHook', interval=200),
]
