# Simple Baseline, one round: images and label maps of one's own
# (configs/_base_/segmentation/datasets/own_folder_semi.py). A CPU or a small GPU.
#   bash tools/train_rounds.sh configs/segmentation/simple_baseline/deeplabv3plus_mobilenet_v2_own_folder.py 1 1
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_mobilenet_v2.py',
    '../../_base_/segmentation/datasets/own_folder_pseudo.py',
    '../../_base_/segmentation/schedules/sgd_small.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SimpleBaseline',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/segmentation/simple_baseline/deeplabv3plus_mobilenet_v2_own_folder'
