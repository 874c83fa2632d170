# Supervised baseline of the BCCD example: 20 labelled images, from scratch. docs/results.md has our figures.
#   python tools/train.py configs/baseline/faster_rcnn_r18_fpn_bccd.py
_base_ = [
    '../_base_/models/faster_rcnn_r18_fpn_scratch.py',
    '../_base_/datasets/bccd.py',
    '../_base_/schedules/adamw_bccd.py',
    '../_base_/runtime.py',
]
data = dict(samples_per_gpu=2, train='${labeled_train}')
