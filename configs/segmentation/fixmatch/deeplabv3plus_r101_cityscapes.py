# FixMatch: Cityscapes 1/8 (372 of 2,975 images labeled), 44,500 iterations of 16 crops of 769. 4 GPUs x 4 images.
# Not run by us yet.
#   bash tools/dist_train.sh configs/segmentation/fixmatch/deeplabv3plus_r101_cityscapes.py 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r101_v1c_ohem.py',
    '../../_base_/segmentation/datasets/cityscapes_semi.py',
    '../../_base_/segmentation/schedules/sgd_cityscapes.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='FixMatch',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.996), threshold=0.0, sup_weight=0.5, unsup_weight=0.5),
)
work_dir = 'work_dirs/segmentation/fixmatch/deeplabv3plus_r101_cityscapes'
