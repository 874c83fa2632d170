# Dense Teacher over FCOS with the authors' settings for 10 % of train2017 labeled (1 %: cls_weight=3).
# Published (COCO val2017 mAP): 1 % 22.38, 2 % 27.20, 5 % 33.01, 10 % 37.13, with large-scale jitter. Ours: not trained.
# 8 GPUs x 6 images (4 labeled : 2 unlabeled; the authors have 16 + 16 a step, each labeled one twice), 180k iterations.
#   bash tools/dist_train.sh configs/dense_teacher/dense_teacher_fcos_r50_caffe_fpn_coco_180k.py 8
_base_ = [
    '../_base_/models/fcos_r50_caffe_fpn.py',
    '../_base_/datasets/coco_semi_one_geometry.py',
    '../_base_/schedules/dense_teacher_180k.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='DenseTeacher',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    semi_train_cfg=dict(
        unsup_weight=1.0, ema=dict(momentum=0.9996), ratio=0.01, cls_weight=4.0, box_weight=1.0, quality_weight=1.0
    ),
    semi_test_cfg=dict(predict_on='teacher'),
)
base_batch = dict(labeled=32, unlabeled=16)
data = dict(samples_per_gpu=6, sampler=dict(ratio=(2, 1), by_prob=False))
