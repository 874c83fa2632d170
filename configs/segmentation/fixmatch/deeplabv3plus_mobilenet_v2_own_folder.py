# FixMatch: images and label maps of one's own (configs/_base_/segmentation/datasets/own_folder_semi.py). A CPU or a
# small GPU.
#   ssod train configs/segmentation/fixmatch/deeplabv3plus_mobilenet_v2_own_folder.py
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_mobilenet_v2.py',
    '../../_base_/segmentation/datasets/own_folder_semi.py',
    '../../_base_/segmentation/schedules/sgd_small.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='FixMatch',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.996), sup_weight=0.5, unsup_weight=0.5),
)
work_dir = 'work_dirs/segmentation/fixmatch/deeplabv3plus_mobilenet_v2_own_folder'
