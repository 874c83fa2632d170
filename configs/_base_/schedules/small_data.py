# For a few dozen to a few hundred labeled images and pretrained weights: projects/small_data says what was tried.
# `burn_in`: until then the student learns from the labeled images alone. The learning rate stays: the average of the
# students, the teacher, does what its fall would do.
burn_in = 1600
optimizer = dict(type='AdamW', lr=0.0002, weight_decay=0.02)
optimizer_config = dict(grad_clip=dict(max_norm=10, norm_type=2))
lr_config = dict(policy='fixed', warmup='linear', warmup_iters=100, warmup_ratio=0.01)
runner = dict(type='IterBasedRunner', max_iters=3200)
checkpoint_config = dict(interval=400, max_keep_ckpts=2)
evaluation = dict(interval=400, metric='bbox')
custom_hooks = [
    dict(type='UnsupWeightHook', burn_in='${burn_in}', ramp=100),
    dict(type='PseudoBoxWarningHook', patience=200),
    dict(type='PseudoBoxImageHook', interval=400),
]
