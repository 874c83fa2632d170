# Soft Teacher over HTC, full protocol: all of train2017 labeled, with COCO-stuff's maps, unlabeled2017 unlabeled.
# None known. 8 GPUs x 8 images (1 : 1); x 0.1 at 480k and 640k of 720k, the schedule of Faster R-CNN's.
#   bash tools/dist_train.sh configs/soft_teacher/soft_teacher_htc_r50_caffe_fpn_coco_full_720k.py 8
_base_ = [
    '../_base_/models/soft_teacher_htc_r50_caffe_fpn.py',
    '../_base_/datasets/coco_stuff_semi.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
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
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
