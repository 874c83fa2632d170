# FixMatch: generated shapes, 15 of 300 labeled, from scratch. One CPU, minutes.
#   ssod train configs/segmentation/fixmatch/deeplabv3plus_r18_shapes.py
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r18_narrow_scratch.py',
    '../../_base_/segmentation/datasets/shapes_semi.py',
    '../../_base_/segmentation/schedules/adamw_shapes.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='FixMatch',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.996), sup_weight=0.5, unsup_weight=0.5),
)
work_dir = 'work_dirs/demo/segmentation/fixmatch'
