# SGD with poly decay for small machines, the same for all methods: a pretrained backbone at a tenth of the head's rate.
optimizer = dict(
    type='SGD',
    lr=0.005,
    momentum=0.9,
    weight_decay=1e-4,
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.0)}),
)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='poly', power=0.9, min_lr=0.0, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=1200)
checkpoint_config = dict(interval=300, max_keep_ckpts=2)
evaluation = dict(interval=300, metric='mIoU')
