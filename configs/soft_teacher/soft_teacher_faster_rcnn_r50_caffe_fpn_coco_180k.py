# Soft Teacher, partial protocol: 1, 2, 5 or 10 % of train2017 labeled, the rest unlabeled.
# Published (COCO val2017 mAP): paper 1 % 20.46, 5 % 30.74, 10 % 34.04; repository 21.62, 30.42, 33.78 (student).
# 8 GPUs x 5 images (1 labeled : 4 unlabeled), 180k iterations, about 1.5 days on 8 V100 in the authors' hands.
#   bash tools/dist_train_partially.sh semi FOLD PERCENT 8
_base_ = [
    '../_base_/models/soft_teacher_faster_rcnn_r50_caffe_fpn.py',
    '../_base_/datasets/coco_semi.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
