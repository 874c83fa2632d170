# Table 9, pseudo boxes of the RPN and of classification above a score of 0.7. Published: 0.9 is best.
# 10 % of train2017 labelled, fold 1; 8 GPUs x 5 images, 180k iterations.
#   bash tools/dist_train.sh configs/ablations/score_thr_070.py 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
model = dict(semi_train_cfg=dict(rpn_filter=dict(thr=0.7), cls_filter=dict(thr=0.7)))
