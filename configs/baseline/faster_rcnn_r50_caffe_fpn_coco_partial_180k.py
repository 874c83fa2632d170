# Supervised baseline of the partial protocol: the labeled images of one fold alone.
# Published (authors' repository, COCO val2017): 1 % 10.0, 5 % 20.92, 10 % 26.94 mAP. 8 GPUs x 1 image.
#   bash tools/dist_train_partially.sh baseline FOLD PERCENT 8
_base_ = [
    '../_base_/models/faster_rcnn_r50_caffe_fpn.py',
    '../_base_/datasets/coco_sup.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
