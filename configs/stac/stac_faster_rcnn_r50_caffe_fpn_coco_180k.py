# STAC (Sohn et al. 2020, arXiv 2005.04757), partial protocol: the supervised baseline labels the unlabeled images
# once, a new student learns from its boxes above 0.9 on strongly augmented images.
# Published (STAC's paper, COCO val2017): 1 % 13.97, 5 % 24.38, 10 % 28.64 mAP.
# As in its authors' code: 8 GPUs x (1 labeled + 1 unlabeled), 180k iterations from ImageNet weights, lambda_u 2.
# Unlike it: detector, schedule, sizes and views are those of our other configs, the labeled view's color included;
# the geometric op moves the whole image, never one box's content; an image without a box above 0.9 is dropped (there
# it keeps its best box); the loss is L_s + 2 L_u as in the paper (there half of it).
#   bash tools/train_multi_stage.sh FOLD PERCENT 8
_base_ = [
    '../_base_/models/faster_rcnn_r50_caffe_fpn.py',
    '../_base_/datasets/coco_semi.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
base_batch = dict(labeled=8, unlabeled=8)
data = dict(
    samples_per_gpu=2,
    workers_per_gpu=2,
    sampler=dict(ratio=(1, 1), by_prob=False),
    train=dict(unlabeled={{_base_.pseudo_labeled_dataset}}),
)
model = dict(
    _delete_=True,
    type='SelfTraining',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    # The student's average teaches nothing, it is evaluated beside the student.
    semi_train_cfg=dict(sup_weight=1.0, unsup_weight=2.0, ema=dict(momentum=0.999)),
)
