# The supervised baseline of Simple Baseline's own network: Cityscapes 1/8 (372 of 2,975 images labeled), 20,000
# iterations of 8 crops of 769. 4 GPUs x 2 images. The ImageNet weights: see the model's file.
# Simple Baseline's paper, at 1/8: 68.9 mIoU. Not run by us yet.
#   bash tools/dist_train.sh configs/segmentation/supervised/deeplabv3plus_xception65_cityscapes.py 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_xception65.py',
    '../../_base_/segmentation/datasets/cityscapes_sup.py',
    '../../_base_/segmentation/schedules/sgd_20k.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SupervisedSegmentor',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/segmentation/supervised/deeplabv3plus_xception65_cityscapes'
