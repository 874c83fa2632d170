# Supervised baseline of the BCCD example: 20 labeled images, from scratch.
# Ours (BCCD test): 48.9 mAP (docs/results.md). One CPU thread x 2 images, 11 minutes.
#   python tools/train.py configs/baseline/faster_rcnn_r18_fpn_bccd.py
_base_ = [
    '../_base_/models/faster_rcnn_r18_fpn_scratch.py',
    '../_base_/datasets/bccd_sup.py',
    '../_base_/schedules/adamw_bccd.py',
    '../_base_/runtime.py',
]
