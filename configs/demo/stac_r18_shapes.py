# STAC at the demo's scale: the demo's baseline labels the other images once, a new student learns from both.
# The baseline's data, labeled images per step and schedule; the threshold is that of the demo's Soft Teacher.
#   make demo, then
#   BASELINE=configs/demo/faster_rcnn_r18_shapes.py STAC=configs/demo/stac_r18_shapes.py \
#       bash tools/train_multi_stage.sh 1 5 1
_base_ = [
    '../_base_/models/faster_rcnn_r18_narrow_scratch.py',
    '../_base_/datasets/shapes_semi.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/runtime.py',
]
pseudo_score_thr = 0.7
data = dict(train=dict(unlabeled={{_base_.pseudo_labeled_dataset}}))
model = dict(
    _delete_=True,
    type='SelfTraining',
    pretrained=None,  # MMDetection's init_detector looks for it, or for a backbone
    detector={{_base_.model}},
    # The student's average teaches nothing, it is evaluated beside the student.
    semi_train_cfg=dict(sup_weight=1.0, unsup_weight=2.0, ema=dict(momentum=0.995)),
)
work_dir = 'work_dirs/demo/stac_r18_shapes'
