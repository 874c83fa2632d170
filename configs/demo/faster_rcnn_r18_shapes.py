# The demo's supervised baseline: generated shapes, a few labelled images, from scratch, on a CPU.
#   make demo
_base_ = [
    '../_base_/models/faster_rcnn_r18_narrow_scratch.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/runtime.py',
]
data = dict(samples_per_gpu=4, train='${labeled_train}')
work_dir = 'work_dirs/demo/${cfg_name}'
