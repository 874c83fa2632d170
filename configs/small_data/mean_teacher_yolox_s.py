# Mean teacher over YOLOX-S with COCO weights, for a small data set of one's own, on one GPU or several GPUs.
#   ssod new NAME --detector yolox --labeled PATH --unlabeled PATH && ssod train data/NAME/mean_teacher.py
_base_ = [
    '../_base_/models/yolox_s_small_data.py',
    '../_base_/datasets/small_data_semi_yolox.py',
    '../_base_/schedules/small_data.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    semi_train_cfg=dict(
        unsup_weight=2.0,
        ema=dict(momentum=0.995),
        pseudo_filter=dict(type='ScoreFilter', thr=0.5),
    ),
)
weights = 'https://download.openmmlab.com/mmdetection/v2.0/yolox/'
load_from = weights + 'yolox_s_8x8_300e_coco/yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth'
