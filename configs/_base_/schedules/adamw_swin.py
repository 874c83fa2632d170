# 72 epochs of train2017 at 16 labeled images a step, the Swin paper's for HTC++: lr x 0.1 after 63 and 69 of them.
# No weight decay for norms and tables of positions.
optimizer = dict(
    type='AdamW',
    lr=0.0001,
    betas=(0.9, 0.999),
    weight_decay=0.05,
    paramwise_cfg=dict(
        custom_keys={
            'absolute_pos_embed': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0),
            'norm': dict(decay_mult=0.0),
        },
    ),
)
optimizer_config = dict(grad_clip=None)
fp16 = dict(loss_scale='dynamic')
lr_config = dict(policy='step', warmup='linear', warmup_iters=1000, warmup_ratio=0.001, step=[461000, 505000])
runner = dict(type='IterBasedRunner', max_iters=527000)
checkpoint_config = dict(interval=10000, max_keep_ckpts=5)
evaluation = dict(interval=10000, metric='bbox')
