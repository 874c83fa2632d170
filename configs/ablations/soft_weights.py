# Table 7, + soft weights: a background sample weighs the teacher's background score (BG-T of Table 8); regression
# learns from the pseudo boxes of classification. Published (COCO val2017): 33.6 mAP.
# 10 % of train2017 labeled, fold 1; 8 GPUs x 5 images, 180k iterations.
#   bash tools/dist_train.sh configs/ablations/soft_weights.py 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
model = dict(semi_train_cfg=dict(background_weight=dict(type='TeacherBackgroundScore'), reg_filter=None))
