# The demo's Soft Teacher: the baseline's data, labelled images a step and schedule, and the unlabelled images.
# Without pretrained weights the first pseudo boxes would mislead: a burn-in trains on the labelled images alone.
#   make demo
_base_ = [
    '../_base_/models/faster_rcnn_r18_narrow_scratch.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/runtime.py',
]
data = dict(samples_per_gpu=8, sampler=dict(ratio=(1, 1), by_prob=False))
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
    dict(type='UnsupWeightHook', burn_in=400, ramp=100),
    dict(type='MeanTeacherHook', momentum=0.995),
    dict(type='PseudoBoxWarningHook', patience=200),
    dict(type='PseudoBoxImageHook', interval=200),
]
work_dir = 'work_dirs/demo/${cfg_name}'
