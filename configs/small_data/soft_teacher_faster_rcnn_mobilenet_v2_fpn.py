# Soft Teacher for a small data set of one's own, on a CPU or a small GPU: what `ssod new` builds on.
#   ssod new NAME --labeled PATH --unlabeled PATH && ssod train data/NAME/soft_teacher.py
_base_ = [
    '../_base_/models/soft_teacher_faster_rcnn_mobilenet_v2_fpn.py',
    '../_base_/datasets/small_data_semi.py',
    '../_base_/schedules/small_data.py',
    '../_base_/runtime.py',
]
channels_last = True  # the convolutions of a MobileNet are faster so, on a CPU too
