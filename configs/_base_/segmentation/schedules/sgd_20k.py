# Simple Baseline's schedule: encoder 0.002, decoder ten times as fast, no weight decay, 20,000 iterations.
optimizer = dict(
    type='SGD',
    lr=0.002,
    momentum=0.9,
    weight_decay=0.0,
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.0)}),
)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='poly', power=0.9, min_lr=0.0, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=20000)
checkpoint_config = dict(interval=2000, max_keep_ckpts=2)
evaluation = dict(interval=2000, metric='mIoU')
