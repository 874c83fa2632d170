# Table 8, reverse IoU: a background sample weighs 1 - its IoU with the nearest pseudo box.
# Without box jittering. Published: no help.
# 10 % of train2017 labeled, fold 1; 8 GPUs x 5 images, 180k iterations.
#   bash tools/dist_train.sh configs/ablations/background_reverse_iou.py 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
model = dict(semi_train_cfg=dict(background_weight=dict(type='PseudoBoxIoU', reverse=True), reg_filter=None))
