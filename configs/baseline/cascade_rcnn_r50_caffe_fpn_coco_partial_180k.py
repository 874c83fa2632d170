# Supervised baseline of the partial protocol with Cascade R-CNN: the labeled images of one fold alone.
# MMDetection 3: 28.0 mAP at 10 % (COCO val2017). 8 GPUs x 1 image.
#   DETECTOR=cascade_rcnn bash tools/dist_train_partially.sh baseline FOLD PERCENT 8
_base_ = [
    '../_base_/models/cascade_rcnn_r50_caffe_fpn.py',
    '../_base_/datasets/coco_sup.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
