# UniMatch: CamVid 1/8 (46 of 367 images labeled), 1,200 iterations. A CPU or a small GPU.
#   ssod train configs/segmentation/unimatch/deeplabv3plus_mobilenet_v2_camvid.py
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_mobilenet_v2.py',
    '../../_base_/segmentation/datasets/camvid_semi.py',
    '../../_base_/segmentation/schedules/sgd_small.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='UniMatch',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(ema=dict(momentum=0.996), sup_weight=0.5, unsup_weight=0.5),
)
data = dict(train=dict(unlabeled=dict(pipeline={{_base_.two_strong_pipeline}})))
work_dir = 'work_dirs/segmentation/unimatch/deeplabv3plus_mobilenet_v2_camvid'
