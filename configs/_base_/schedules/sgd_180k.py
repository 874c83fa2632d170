# The partial protocol's schedule: 8 GPUs, lr 0.01, x 0.1 at 120k and 160k of 180k iterations.
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
fp16 = dict(loss_scale='dynamic')
lr_config = dict(policy='step', warmup='linear', warmup_iters=500, warmup_ratio=0.001, step=[120000, 160000])
runner = dict(type='IterBasedRunner', max_iters=180000)
checkpoint_config = dict(interval=4000, max_keep_ckpts=5)
evaluation = dict(interval=4000, metric='bbox')
