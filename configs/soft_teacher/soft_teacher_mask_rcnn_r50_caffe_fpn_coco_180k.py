# Soft Teacher over Mask R-CNN, partial protocol: 1, 2, 5 or 10 % of train2017 labeled, the rest unlabeled.
# None known with Soft Teacher. By others (mask AP, COCO val2017): PAIS 21.2 at 1 %, Noisy Boundaries 7.7.
# 8 GPUs x 5 images (1 labeled : 4 unlabeled), 180k iterations: the schedule of Faster R-CNN's.
#   DETECTOR=mask_rcnn bash tools/dist_train_partially.sh semi FOLD PERCENT 8
_base_ = [
    '../_base_/models/soft_teacher_mask_rcnn_r50_caffe_fpn.py',
    '../_base_/datasets/coco_instance_semi.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
