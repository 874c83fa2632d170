# The demo's supervised baseline: generated shapes, a few labeled images, from scratch, on a CPU.
# Ours: 27.2 mAP, mean of three seeds (docs/results.md). One CPU thread x 4 images.
#   make demo makes the data; then ssod train configs/demo/faster_rcnn_r18_shapes.py
_base_ = [
    '../_base_/models/faster_rcnn_r18_narrow_scratch.py',
    '../_base_/datasets/shapes_sup.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/runtime.py',
]
work_dir = 'work_dirs/demo/faster_rcnn_r18_shapes'
