# Soft Teacher over the narrow HTC that is trained from scratch.
_base_ = './htc_r18_narrow_scratch.py'
model = dict(
    _delete_=True,
    type='SoftTeacher',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    semi_train_cfg=dict(
        sup_weight=1.0,
        unsup_weight=2.0,
        ema=dict(momentum=0.995),
        candidate_score_thr=0.5,
        rpn_filter=dict(type='ScoreFilter', thr=0.7),
        cls_filter=dict(type='ScoreFilter', thr=0.7),
        reg_filter=dict(type='JitterVarianceFilter', thr=0.04, num_jitters=10, jitter_scale=0.06),
        background_weight=dict(type='TeacherBackgroundScore'),
        mask_filter=dict(type='ScoreFilter', thr=0.7),  # few young boxes pass the variance filter
    ),
)
