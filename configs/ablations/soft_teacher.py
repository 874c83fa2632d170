# Table 7, + box jittering: the whole of Soft Teacher, the base as it is. Published (COCO val2017): 34.2 mAP.
# 10 % of train2017 labeled, fold 1; 8 GPUs x 5 images, 180k iterations.
#   bash tools/dist_train.sh configs/ablations/soft_teacher.py 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
