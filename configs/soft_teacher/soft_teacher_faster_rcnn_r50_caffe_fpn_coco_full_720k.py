# Soft Teacher, full protocol: all of train2017 labeled, unlabeled2017 unlabeled; x 0.1 at 480k and 640k of 720k.
# Published (COCO val2017 mAP): paper 44.5, repository 44.05. 8 GPUs x 8 images (1 : 1).
#   bash tools/dist_train.sh configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_720k.py 8
_base_ = './soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
base_batch = dict(labeled=32, unlabeled=32)
data = dict(
    samples_per_gpu=8,
    workers_per_gpu=8,
    sampler=dict(ratio=(1, 1)),
    train=dict(
        labeled=dict(ann_file='annotations/instances_train2017.json'),
        unlabeled=dict(ann_file='annotations/instances_unlabeled2017.json', img_prefix='unlabeled2017/'),
    ),
)
model = dict(semi_train_cfg=dict(unsup_weight=2.0))
lr_config = dict(step=[480000, 640000])
runner = dict(max_iters=720000)
