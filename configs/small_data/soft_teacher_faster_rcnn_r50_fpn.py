# Soft Teacher for a small data set of one's own, with one GPU or several GPUs: what `ssod new` builds on there.
#   ssod new NAME --labeled PATH --unlabeled PATH && ssod train data/NAME/soft_teacher.py
_base_ = [
    '../_base_/models/soft_teacher_faster_rcnn_r50_fpn.py',
    '../_base_/datasets/small_data_semi.py',
    '../_base_/schedules/small_data.py',
    '../_base_/runtime.py',
]
