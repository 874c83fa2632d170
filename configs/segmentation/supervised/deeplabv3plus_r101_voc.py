# The supervised baseline: PASCAL VOC 1/8 (1,323 of 10,582 images labeled), 39,400 iterations of 8 crops of 512. 4
# GPUs x 2 images.
# Published for the baseline of CPS at 1/8: 72.21 mIoU (a user of PS-MT). Not run by us yet.
#   bash tools/dist_train.sh configs/segmentation/supervised/deeplabv3plus_r101_voc.py 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r101_v1c.py',
    '../../_base_/segmentation/datasets/voc_sup.py',
    '../../_base_/segmentation/schedules/sgd_voc.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SupervisedSegmentor',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/segmentation/supervised/deeplabv3plus_r101_voc'
