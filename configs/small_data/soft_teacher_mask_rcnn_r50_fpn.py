# Soft Teacher with masks for a small data set of one's own, with one GPU or several GPUs: `ssod new --masks` builds
# on it there.
#   ssod new NAME --labeled PATH --masks && ssod train data/NAME/soft_teacher.py
_base_ = [
    '../_base_/models/soft_teacher_mask_rcnn_r50_fpn.py',
    '../_base_/datasets/small_data_instance_semi.py',
    '../_base_/schedules/small_data.py',
    '../_base_/runtime.py',
]
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
