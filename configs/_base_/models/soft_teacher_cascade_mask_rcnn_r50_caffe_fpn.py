# Soft Teacher over Cascade Mask R-CNN R50-FPN, with the authors' settings for Faster R-CNN.
_base_ = './cascade_mask_rcnn_r50_caffe_fpn.py'
model = dict(
    _delete_=True,
    type='SoftTeacher',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    semi_train_cfg=dict(
        sup_weight=1.0,
        unsup_weight=4.0,
        ema=dict(momentum=0.999, warm_up=0, interval=1, ramp=True),
        candidate_score_thr=0.5,
        min_pseudo_bbox_size=0,
        rpn_filter=dict(type='ScoreFilter', thr=0.9),
        cls_filter=dict(type='ScoreFilter', thr=0.9),
        reg_filter=dict(type='JitterVarianceFilter', thr=0.02, num_jitters=10, jitter_scale=0.06),
        background_weight=dict(type='TeacherBackgroundScore'),
        mask_filter=None,  # the regression branch's pseudo boxes teach masks, as in the authors' fork
    ),
    semi_test_cfg=dict(predict_on='student'),
)
custom_hooks = [dict(type='PseudoBoxWarningHook', patience=1000), dict(type='PseudoBoxImageHook', interval=500)]
