# Mean teacher over YOLOX-S, partial protocol: 1, 2, 5 or 10 % of train2017 labeled.
# Others' (10 %, YOLOv5-l by EfficientTeacher): 37.9. Ours: not trained. From scratch, without mosaic.
# 8 GPUs x 5 images (1 labeled : 4 unlabeled), 180k iterations; --cfg-options percent=5 fold=2.
#   bash tools/dist_train.sh configs/mean_teacher/mean_teacher_yolox_s_coco_180k.py 8
_base_ = [
    '../_base_/models/yolox_s.py',
    '../_base_/datasets/coco_semi.py',
    '../_base_/schedules/sgd_180k_clipped.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    semi_train_cfg=dict(
        unsup_weight=2.0,
        ema=dict(momentum=0.9995),
        pseudo_filter=dict(type='ScoreFilter', thr=0.5),  # of class score x objectness
    ),
)
custom_hooks = [
    dict(type='UnsupWeightHook', burn_in=5000, ramp=5000),
    dict(type='PseudoBoxWarningHook', patience=1000),
    dict(type='PseudoBoxImageHook', interval=500),
]
