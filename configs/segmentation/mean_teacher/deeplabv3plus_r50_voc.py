# Mean Teacher: PASCAL VOC 1/8 (1,323 of 10,582 images labeled), 39,400 iterations of 16 crops of 512. 4 GPUs x 4
# images.
# Not run by us yet.
#   bash tools/dist_train.sh configs/segmentation/mean_teacher/deeplabv3plus_r50_voc.py 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r50_v1c.py',
    '../../_base_/segmentation/datasets/voc_semi.py',
    '../../_base_/segmentation/schedules/sgd_voc.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='MeanTeacherSegmentor',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99), unsup_weight=100.0, ramp=4000),
)
work_dir = 'work_dirs/segmentation/mean_teacher/deeplabv3plus_r50_voc'
