# Soft Teacher on one's own data, the BCCD example: 20 labelled and 185 unlabelled images, from scratch, on a CPU or
# one GPU. The baseline's data, labelled images a step and schedule. docs/results.md has our figures.
#   python tools/train.py configs/soft_teacher/soft_teacher_faster_rcnn_r18_fpn_bccd.py
_base_ = [
    '../_base_/models/faster_rcnn_r18_fpn_scratch.py',
    '../_base_/datasets/bccd.py',
    '../_base_/schedules/adamw_bccd.py',
    '../_base_/schedules/soft_teacher_scratch.py',
    '../_base_/runtime.py',
]
burn_in = 300
ema_momentum = 0.99
data = dict(samples_per_gpu=4, sampler=dict(ratio=(1, 1), by_prob=False))
# The authors' filters: crowded cells need sure pseudo boxes (0.7, the demo's, made the detector worse here).
model = dict(_delete_=True, type='SoftTeacher', detector={{_base_.model}}, semi_train_cfg=dict(unsup_weight=2.0))
