# Cross Pseudo Supervision without CutMix: Cityscapes 1/8 (372 of 2,975 images labeled), 44,500 iterations of 16 crops
# of 769. 4 GPUs x 4 images.
# Not run by us yet.
#   bash tools/dist_train.sh configs/segmentation/cps_without_cutmix/deeplabv3plus_r50_cityscapes.py 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r50_v1c_ohem.py',
    '../../_base_/segmentation/datasets/cityscapes_semi.py',
    '../../_base_/segmentation/schedules/sgd_cityscapes.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='CrossPseudoSupervision',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(cutmix=False, unsup_weight=6.0),
)
data = dict(train=dict(unlabeled=dict(pipeline={{_base_.single_pipeline}})))
work_dir = 'work_dirs/segmentation/cps_without_cutmix/deeplabv3plus_r50_cityscapes'
