# The demo's supervised baseline with masks: generated shapes, a few labeled images, from scratch, on a CPU.
# None known. One CPU thread x 4 images.
#   make demo DEMO_ARGS=--with-masks makes the data; then ssod train configs/demo/mask_rcnn_r18_shapes.py
_base_ = [
    '../_base_/models/mask_rcnn_r18_narrow_scratch.py',
    '../_base_/datasets/shapes_instance_sup.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/runtime.py',
]
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
work_dir = 'work_dirs/demo_masks/mask_rcnn_r18_shapes'
