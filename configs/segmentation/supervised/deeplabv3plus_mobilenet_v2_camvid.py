# The supervised baseline: CamVid 1/8 (46 of 367 images labeled), 1,200 iterations. A CPU or a small GPU.
#   ssod train configs/segmentation/supervised/deeplabv3plus_mobilenet_v2_camvid.py
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_mobilenet_v2.py',
    '../../_base_/segmentation/datasets/camvid_sup.py',
    '../../_base_/segmentation/schedules/sgd_small.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='SupervisedSegmentor',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.99)),
)
work_dir = 'work_dirs/segmentation/supervised/deeplabv3plus_mobilenet_v2_camvid'
