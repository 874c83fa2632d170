# A short schedule from scratch, the same for baseline and Soft Teacher.
optimizer = dict(type='AdamW', lr=0.001, weight_decay=0.02)
optimizer_config = dict(grad_clip=dict(max_norm=10, norm_type=2))
lr_config = dict(policy='step', warmup='linear', warmup_iters=100, warmup_ratio=0.01, step=[1000])
runner = dict(type='IterBasedRunner', max_iters=1200)
checkpoint_config = dict(interval=300, max_keep_ckpts=2)
evaluation = dict(interval=300, metric='bbox')
