# The small-data recipe over a Mask R-CNN with ImageNet weights.
_base_ = './mask_rcnn_mobilenet_v2_fpn.py'
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
        reg_filter=dict(type='ScoreFilter', thr=0.7),  # a young detector's variance says nothing of its boxes
        background_weight=dict(type='TeacherBackgroundScore'),
        mask_filter=None,  # the same boxes teach masks
    ),
)
