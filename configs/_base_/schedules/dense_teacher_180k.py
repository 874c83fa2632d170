# Dense Teacher's: lr 0.01 without a fall, unlabeled images from 5k iterations on, their weight full at 10k.
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=dict(max_norm=35, norm_type=2))
fp16 = dict(loss_scale='dynamic')
lr_config = dict(policy='fixed', warmup='linear', warmup_iters=1000, warmup_ratio=0.001)
runner = dict(type='IterBasedRunner', max_iters=180000)
checkpoint_config = dict(interval=4000, max_keep_ckpts=5)
evaluation = dict(interval=4000, metric='bbox')
custom_hooks = [
    dict(type='UnsupWeightHook', burn_in=5000, ramp=5000),
    dict(type='PseudoBoxImageHook', interval=500),
]
