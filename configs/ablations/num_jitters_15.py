# Table 11, 15 jittered boxes a candidate. Published: no gain beyond 10.
# 10 % of train2017 labelled, fold 1; 8 GPUs x 5 images, 180k iterations.
#   bash tools/dist_train.sh configs/ablations/num_jitters_15.py 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
model = dict(semi_train_cfg=dict(reg_filter=dict(num_jitters=15)))
