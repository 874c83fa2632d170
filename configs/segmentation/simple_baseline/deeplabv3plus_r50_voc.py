# Simple Baseline, one round: PASCAL VOC 1/8 (1,323 of 10,582 images labeled), 39,400 iterations of 16 crops of 512. 4
# GPUs x 4 images.
# Not run by us yet.
#   bash tools/train_rounds.sh configs/segmentation/simple_baseline/deeplabv3plus_r50_voc.py 1 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r50_v1c.py',
    '../../_base_/segmentation/datasets/voc_pseudo.py',
    '../../_base_/segmentation/schedules/sgd_voc.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SimpleBaseline',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/segmentation/simple_baseline/deeplabv3plus_r50_voc'
