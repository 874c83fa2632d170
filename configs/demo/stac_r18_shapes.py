# STAC at the demo's scale: the demo's baseline labels the other images once, a new student learns from both.
# The baseline's data, labelled images a step and schedule; the threshold is that of the demo's Soft Teacher.
#   make demo, then
#   BASELINE=configs/demo/faster_rcnn_r18_shapes.py STAC=configs/demo/stac_r18_shapes.py \
#       bash tools/train_multi_stage.sh 1 5 1
_base_ = [
    '../_base_/models/faster_rcnn_r18_narrow_scratch.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/runtime.py',
]
pseudo_score_thr = 0.7
data = dict(samples_per_gpu=8, sampler=dict(ratio=(1, 1), by_prob=False), train=dict(unlabeled='${pseudo_labeled}'))
model = dict(_delete_=True, type='SelfTraining', detector={{_base_.model}}, semi_train_cfg=dict(unsup_weight=2.0))
custom_hooks = [dict(type='MeanTeacherHook', momentum=0.995)]
work_dir = 'work_dirs/demo/${cfg_name}'
