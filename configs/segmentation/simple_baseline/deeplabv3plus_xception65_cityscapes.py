# Simple Baseline with the authors' own network: Cityscapes 1/8 (372 of 2,975 images labeled), 20,000 iterations of 16
# crops of 769. 4 GPUs x 4 images. The ImageNet weights: see the model's file.
# The paper, at 1/8: 74.1 mIoU (supervised 68.9). Not run by us yet.
#   bash tools/train_rounds.sh configs/segmentation/simple_baseline/deeplabv3plus_xception65_cityscapes.py 1 4
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_xception65.py',
    '../../_base_/segmentation/datasets/cityscapes_pseudo.py',
    '../../_base_/segmentation/schedules/sgd_20k.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SimpleBaseline',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/segmentation/simple_baseline/deeplabv3plus_xception65_cityscapes'
