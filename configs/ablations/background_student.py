# Table 8, BG-S: a background sample weighs the student's background score.
# Without box jittering. Published: worse than none.
# 10 % of train2017 labeled, fold 1; 8 GPUs x 5 images, 180k iterations.
#   bash tools/dist_train.sh configs/ablations/background_student.py 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
model = dict(semi_train_cfg=dict(background_weight=dict(type='StudentBackgroundScore'), reg_filter=None))
