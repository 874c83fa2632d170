# ATSS on a ResNet-50 with torchvision's ImageNet weights, for a data set of one's own and a GPU.
_base_ = './atss_r50_caffe_fpn.py'
model = dict(
    backbone=dict(
        style='pytorch',
        init_cfg=dict(_delete_=True, type='PretrainedBackbone', checkpoint='torchvision://resnet50'),
    ),
    bbox_head=dict(num_classes=1),  # `classes` sets other numbers
)
