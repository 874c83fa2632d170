# The same at half the width, for images of 160 pixels: a step is a fraction of a second on a CPU.
_base_ = './faster_rcnn_r18_fpn_scratch.py'
model = dict(
    backbone=dict(base_channels=32, stem_channels=32),
    neck=dict(in_channels=[64, 128, 256]),
    roi_head=dict(bbox_head=dict(num_classes=4)),  # the shapes'; `classes` sets others
    train_cfg=dict(rpn_proposal=dict(nms_pre=200, max_per_img=100), rcnn=dict(sampler=dict(num=64))),
)
