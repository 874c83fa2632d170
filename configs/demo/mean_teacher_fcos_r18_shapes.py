# The demo with FCOS: a mean teacher, the data, labeled images per step and schedule of the demo's Soft Teacher.
# Ours: not measured yet. One CPU thread x 8 images.
#   make demo DEMO_ARGS='--detector fcos'
_base_ = [
    '../_base_/models/fcos_r18_narrow_scratch.py',
    '../_base_/datasets/shapes_semi.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/schedules/soft_teacher_scratch.py',
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
        pseudo_filter=dict(type='ScoreFilter', thr=0.3),
    ),
)
work_dir = 'work_dirs/demo/mean_teacher_fcos_r18_shapes'
