# Soft Teacher over Cascade R-CNN, partial protocol: 1, 2, 5 or 10 % of train2017 labeled, the rest unlabeled.
# None known with Soft Teacher. MMDetection 3: plain pseudo boxes 29.7 mAP at 10 % (COCO val2017).
# 8 GPUs x 5 images (1 labeled : 4 unlabeled), 180k iterations: the schedule of Faster R-CNN's.
#   DETECTOR=cascade_rcnn bash tools/dist_train_partially.sh semi FOLD PERCENT 8
_base_ = [
    '../_base_/models/soft_teacher_cascade_rcnn_r50_caffe_fpn.py',
    '../_base_/datasets/coco_semi.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
