# The demo's Soft Teacher: the baseline's data, labelled images a step and schedule, and the unlabelled images.
#   make demo
_base_ = [
    '../_base_/models/faster_rcnn_r18_narrow_scratch.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/schedules/soft_teacher_scratch.py',
    '../_base_/runtime.py',
]
data = dict(samples_per_gpu=8, sampler=dict(ratio=(1, 1), by_prob=False))
model = dict(_delete_=True, type='SoftTeacher', detector={{_base_.model}}, semi_train_cfg={{_base_.semi_train_cfg}})
work_dir = 'work_dirs/demo/${cfg_name}'
