# Cross Pseudo Supervision's schedule for PASCAL VOC 1/8 (34 epochs of 16 images): lr 0.0025 and weight decay 4e-4 are
# what its code does on 4 GPUs, which divide gradients twice (docs/segmentation.md).
optimizer = dict(
    type='SGD', lr=0.0025, momentum=0.9, weight_decay=4e-4, paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0)
)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='poly', power=0.9, min_lr=0.0, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=39400)
checkpoint_config = dict(interval=4000, max_keep_ckpts=2)
evaluation = dict(interval=4000, metric='mIoU')
