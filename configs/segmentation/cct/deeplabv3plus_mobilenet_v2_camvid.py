# CCT: CamVid 1/8 (46 of 367 images labeled), 1,200 iterations. A CPU or a small GPU.
#   ssod train configs/segmentation/cct/deeplabv3plus_mobilenet_v2_camvid.py
_base_ = [
    '../../_base_/segmentation/models/deeplabv3plus_mobilenet_v2.py',
    '../../_base_/segmentation/datasets/camvid_semi.py',
    '../../_base_/segmentation/schedules/sgd_small.py',
    '../../_base_/segmentation/runtime.py',
]
model = dict(
    _delete_=True,
    type='CrossConsistency',
    segmentor={{_base_.model}},
    semi_train_cfg=dict(
        ramp=120, decoders=dict(f_drop=2, f_noise=2, dropout=2, i_vat=1), decoder='linear', background=None
    ),
)
data = dict(train=dict(unlabeled=dict(pipeline={{_base_.single_pipeline}})))
work_dir = 'work_dirs/segmentation/cct/deeplabv3plus_mobilenet_v2_camvid'
