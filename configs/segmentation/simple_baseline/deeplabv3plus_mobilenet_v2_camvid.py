# Simple Baseline, one round: CamVid 1/8 (46 of 367 images labeled), 1,200 iterations. A CPU or a small GPU.
#   bash tools/train_rounds.sh configs/segmentation/simple_baseline/deeplabv3plus_mobilenet_v2_camvid.py 1 1
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_mobilenet_v2.py',
    '../../_base_/segmentation/datasets/camvid_pseudo.py',
    '../../_base_/segmentation/schedules/sgd_small.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SimpleBaseline',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/segmentation/simple_baseline/deeplabv3plus_mobilenet_v2_camvid'
