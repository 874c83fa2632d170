# The demo's Simple Baseline: the baseline's data, labeled images per step and schedule, and the unlabeled images with
# the labels that the baseline gives them. On a CPU, minutes.
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
work_dir = 'work_dirs/demo/segmentation/simple_baseline_r18_shapes'
