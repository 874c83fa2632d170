# Table 6, multi-stage: the supervised baseline labels the unlabeled images once, a new student learns from them.
# Batch, views, weight and score threshold are those of end_to_end.py; configs/stac has STAC's own. Published: 1.3 mAP
# below end-to-end.
# 10 % of train2017 labeled, fold 1; twice 180k iterations: the baseline with 8 GPUs x 1 image, then 8 GPUs x 5.
#   STAC=configs/ablations/multi_stage.py bash tools/train_multi_stage.sh 1 10 8
_base_ = '../soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
data = dict(train=dict(unlabeled={{_base_.pseudo_labeled_dataset}}))
# The student's average teaches nothing, it is evaluated beside the student.
model = dict(
    type='SelfTraining',
    semi_train_cfg=dict(
        _delete_=True,
        sup_weight=1.0,
        unsup_weight=4.0,
        ema=dict(momentum=0.999, warm_up=0, interval=1, ramp=True),
    ),
)
custom_hooks = []  # the others watch a teacher's pseudo boxes
