# The demo's Soft Teacher: the baseline's data, labeled images per step and schedule, and the unlabeled images.
# Ours: student 32.4, teacher 31.3 mAP, means of three seeds (docs/results.md). One CPU thread x 8 images.
#   make demo
_base_ = [
    '../_base_/models/soft_teacher_faster_rcnn_r18_narrow_scratch.py',
    '../_base_/datasets/shapes_semi.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/schedules/soft_teacher_scratch.py',
    '../_base_/runtime.py',
]
work_dir = 'work_dirs/demo/soft_teacher_r18_shapes'
