# Cross Pseudo Supervision with CutMix: PASCAL VOC 1/8 (1,323 of 10,582 images labeled), 39,400 iterations of 16 crops
# of 512. 4 GPUs x 4 images.
# The paper, at 1/8: 73.67 mIoU. Not run by us yet.
#   bash tools/dist_train.sh configs/segmentation/cps/deeplabv3plus_r50_voc.py 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r50_v1c.py',
    '../../_base_/segmentation/datasets/voc_semi.py',
    '../../_base_/segmentation/schedules/sgd_voc.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='CrossPseudoSupervision',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(cutmix=True, unsup_weight=1.0),
)
data = dict(train=dict(unlabeled=dict(pipeline={{_base_.single_pipeline}})))
work_dir = 'work_dirs/segmentation/cps/deeplabv3plus_r50_voc'
