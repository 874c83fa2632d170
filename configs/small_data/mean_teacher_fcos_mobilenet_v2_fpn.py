# Mean teacher over FCOS for a small data set of one's own, on a CPU or a small GPU.
#   ssod new NAME --detector fcos --labeled PATH --unlabeled PATH && ssod train data/NAME/mean_teacher.py
_base_ = [
    '../_base_/models/fcos_mobilenet_v2_fpn.py',
    '../_base_/datasets/small_data_semi.py',
    '../_base_/schedules/small_data.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    semi_train_cfg=dict(
        unsup_weight=2.0,
        ema=dict(momentum=0.995),
        pseudo_filter=dict(type='ScoreFilter', thr=0.3),
    ),
)
channels_last = True  # the convolutions of a MobileNet are faster so, on a CPU too
