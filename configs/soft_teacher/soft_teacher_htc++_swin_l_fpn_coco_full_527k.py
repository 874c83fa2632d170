# Soft Teacher over HTC++ with Swin-L, full protocol: train2017 labeled, with COCO-stuff's maps, unlabeled2017 not.
# Published (paper, COCO test-dev): 60.4 box, 52.4 mask AP, against 58.9 and 51.2 supervised.
# The authors' schedule and settings for it are not known: the Swin paper's recipe, Soft Teacher's thresholds.
# 16 GPUs x 2 images (1 : 1).
#   bash tools/dist_train.sh configs/soft_teacher/soft_teacher_htc++_swin_l_fpn_coco_full_527k.py 16
_base_ = [
    '../_base_/models/soft_teacher_htc_swin_l_fpn.py',
    '../_base_/datasets/coco_stuff_swin_semi.py',
    '../_base_/schedules/adamw_swin.py',
    '../_base_/runtime.py',
]
model = dict(semi_train_cfg=dict(unsup_weight=2.0))
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
