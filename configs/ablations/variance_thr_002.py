# Table 10, pseudo boxes of regression below a variance of 0.02. Published: 0.02 is best.
# 10 % of train2017 labelled, fold 1; 8 GPUs x 5 images, 180k iterations.
#   bash tools/dist_train.sh configs/ablations/variance_thr_002.py 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
model = dict(semi_train_cfg=dict(reg_filter=dict(thr=0.02)))
