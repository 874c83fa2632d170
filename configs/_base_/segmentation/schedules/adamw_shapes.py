# A short schedule from scratch for the generated shapes, the same for all methods.
optimizer = dict(type='AdamW', lr=0.002, weight_decay=0.02)
optimizer_config = dict(grad_clip=dict(max_norm=10, norm_type=2))
lr_config = dict(policy='poly', power=0.9, min_lr=0.0, by_epoch=False, warmup='linear', warmup_iters=50)
runner = dict(type='IterBasedRunner', max_iters=800)
checkpoint_config = dict(interval=200, max_keep_ckpts=2)
evaluation = dict(interval=200, metric='mIoU')
