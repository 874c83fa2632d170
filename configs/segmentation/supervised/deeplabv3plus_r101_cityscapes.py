# The supervised baseline: Cityscapes 1/8 (372 of 2,975 images labeled), 44,500 iterations of 8 crops of 769. 4 GPUs x
# 2 images.
# UniMatch's supervised baseline at 1/8, crop 801: 72.8 mIoU. Not run by us yet.
#   bash tools/dist_train.sh configs/segmentation/supervised/deeplabv3plus_r101_cityscapes.py 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r101_v1c_ohem.py',
    '../../_base_/segmentation/datasets/cityscapes_sup.py',
    '../../_base_/segmentation/schedules/sgd_cityscapes.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SupervisedSegmentor',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/segmentation/supervised/deeplabv3plus_r101_cityscapes'
