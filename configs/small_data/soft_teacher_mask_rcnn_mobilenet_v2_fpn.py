# Soft Teacher with masks for a small data set of one's own, on a CPU or a small GPU: `ssod new --masks` builds on it.
#   ssod new NAME --labeled PATH --masks && ssod train data/NAME/soft_teacher.py
_base_ = [
    '../_base_/models/soft_teacher_mask_rcnn_mobilenet_v2_fpn.py',
    '../_base_/datasets/small_data_instance_semi.py',
    '../_base_/schedules/small_data.py',
    '../_base_/runtime.py',
]
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
channels_last = True  # the convolutions of a MobileNet are faster so, on a CPU too
