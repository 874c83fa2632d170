# Cross Pseudo Supervision with CutMix: generated shapes, 15 of 300 labeled, from scratch. One CPU, minutes.
#   ssod train configs/segmentation/cps/deeplabv3plus_r18_shapes.py
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r18_narrow_scratch.py',
    '../../_base_/segmentation/datasets/shapes_semi.py',
    '../../_base_/segmentation/schedules/adamw_shapes.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='CrossPseudoSupervision',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(cutmix=True, unsup_weight=1.0),
)
data = dict(train=dict(unlabeled=dict(pipeline={{_base_.single_pipeline}})))
work_dir = 'work_dirs/demo/segmentation/cps'
