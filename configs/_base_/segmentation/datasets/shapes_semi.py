# The demo's generated shapes (tools/dataset/make_shapes.py --with-masks); every 20th training image labeled.
# `${name}` takes the setting of that name, so one override of it reaches every place.
_base_ = './views.py'
data_root = 'work_dirs/demo/data_maps/'
classes = ['background', 'circle', 'triangle', 'star', 'cross']
palette = [[40, 40, 40], [220, 60, 60], [60, 180, 75], [70, 110, 230], [240, 200, 60]]
every = 20  # every 20th of the sorted names is labeled
ratio_range = (0.75, 1.5)
crop_size = (128, 128)
pseudo_maps = 'pseudo_maps'  # folder with the label maps of tools/pseudo_label.py
labeled_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/train',
    ann_dir='semantic/train',
    every_nth=('${every}', 'labeled'),
    palette='${palette}',
    pipeline={{_base_.sup_pipeline}},
)
sup_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/train',
    ann_dir='semantic/train',
    every_nth=('${every}', 'labeled'),
    palette='${palette}',
    pipeline={{_base_.plain_pipeline}},
)
unlabeled_dataset = dict(
    type='UnlabeledDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/train',
    every_nth=('${every}', 'unlabeled'),
    pipeline={{_base_.unsup_pipeline}},
)
# Simple Baseline's in place of it.
pseudo_labeled_dataset = dict(
    type='PseudoMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/train',
    ann_dir='${pseudo_maps}',
    every_nth=('${every}', 'unlabeled'),
    palette='${palette}',
    pipeline={{_base_.pseudo_pipeline}},
)
test_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/val',
    ann_dir='semantic/val',
    palette='${palette}',
    pipeline={{_base_.test_pipeline}},
)
# Images of a step that lr and schedule are for. Another batch: --auto-scale.
base_batch = dict(labeled=4, unlabeled=4)
data = dict(
    samples_per_gpu=8,
    workers_per_gpu=2,
    sampler=dict(ratio=(1, 1), by_prob=False),
    train=dict(type='SemiDataset', labeled=labeled_dataset, unlabeled=unlabeled_dataset),
    val=test_dataset,
    test=test_dataset,
)
