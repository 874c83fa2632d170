# Table 6, end-to-end with an EMA teacher; the first row of Table 7, and "none" of Table 8. Every background sample
# weighs 1, regression learns from the pseudo boxes of classification. Published (COCO val2017): 31.2 mAP.
# 10 % of train2017 labeled, fold 1; 8 GPUs x 5 images, 180k iterations.
#   bash tools/dist_train.sh configs/ablations/end_to_end_ema.py 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
model = dict(semi_train_cfg=dict(background_weight=None, reg_filter=None))
