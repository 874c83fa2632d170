# For a few dozen to a few hundred labeled images and pretrained weights: see docs/results.md for what was tried.
# `burn_in`: until then the student learns from the labeled images alone.
burn_in = 800
optimizer = dict(type='AdamW', lr=0.0003, weight_decay=0.02)
optimizer_config = dict(grad_clip=dict(max_norm=10, norm_type=2))
lr_config = dict(policy='step', warmup='linear', warmup_iters=100, warmup_ratio=0.01, step=[2000])
runner = dict(type='IterBasedRunner', max_iters=2400)
checkpoint_config = dict(interval=400, max_keep_ckpts=2)
evaluation = dict(interval=400, metric='bbox')
custom_hooks = [
    dict(type='UnsupWeightHook', burn_in='${burn_in}', ramp=100),
    dict(type='PseudoBoxWarningHook', patience=200),
    dict(type='PseudoBoxImageHook', interval=400),
]
