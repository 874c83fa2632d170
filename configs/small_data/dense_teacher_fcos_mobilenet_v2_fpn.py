# Dense Teacher over FCOS for a small data set of one's own, on a CPU or a small GPU. It has no threshold to tune.
#   ssod train configs/small_data/dense_teacher_fcos_mobilenet_v2_fpn.py --cfg-options data_root=data/NAME/
_base_ = [
    '../_base_/models/fcos_mobilenet_v2_fpn.py',
    '../_base_/datasets/small_data_semi_one_geometry.py',
    '../_base_/schedules/small_data.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='DenseTeacher',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    semi_train_cfg=dict(
        unsup_weight=1.0, ema=dict(momentum=0.995), ratio=0.01, cls_weight=4.0, box_weight=1.0, quality_weight=1.0
    ),
)
channels_last = True  # the convolutions of a MobileNet are faster so, on a CPU too
