# Simple Baseline, one round: generated shapes, 15 of 300 labeled, from scratch. One CPU, minutes.
#   make demo DEMO_ARGS='--task segmentation'
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_r18_narrow_scratch.py',
    '../../_base_/segmentation/datasets/shapes_pseudo.py',
    '../../_base_/segmentation/schedules/adamw_shapes.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SimpleBaseline',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/demo/segmentation/simple_baseline'
