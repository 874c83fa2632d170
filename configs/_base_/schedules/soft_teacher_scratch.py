# Soft Teacher for a detector trained from scratch, as the demo and the BCCD example are. Without pretrained weights the
# first pseudo boxes would mislead: for `burn_in` iterations the student learns from the labelled images alone.
burn_in = 400
ema_momentum = 0.995
semi_train_cfg = dict(
    unsup_weight=2.0,
    rpn_filter=dict(type='ScoreFilter', thr=0.7),
    cls_filter=dict(type='ScoreFilter', thr=0.7),
    reg_filter=dict(type='JitterVarianceFilter', thr=0.04),
)
custom_hooks = [
    dict(type='UnsupWeightHook', burn_in='${burn_in}', ramp=100),
    dict(type='MeanTeacherHook', momentum='${ema_momentum}'),
    dict(type='PseudoBoxWarningHook', patience=200),
    dict(type='PseudoBoxImageHook', interval=200),
]
