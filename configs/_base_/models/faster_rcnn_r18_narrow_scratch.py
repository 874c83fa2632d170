# A narrow Faster R-CNN trained from scratch on images of 160 pixels: a step is a fraction of a second on a CPU.
_base_ = './faster_rcnn_r18_fpn_scratch.py'
model = dict(
    backbone=dict(base_channels=32, stem_channels=32, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[64, 128, 256], num_outs=4),
    rpn_head=dict(anchor_generator=dict(scales=[3], strides=[8, 16, 32, 64])),
    roi_head=dict(bbox_roi_extractor=dict(featmap_strides=[8, 16, 32])),
    train_cfg=dict(rcnn=dict(sampler=dict(num=64))),
)
