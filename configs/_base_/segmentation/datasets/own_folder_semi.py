# Images and label maps of one's own: data/own/images/{train,val} (any image, folders below are kept) and, under the
# same paths, data/own/labels/{train,val}/NAME.png with a class number in each pixel and 255 where it is to be ignored;
# data/own/images/unlabeled needs no labels. `${name}` takes the setting of that name.
_base_ = './views.py'
data_root = 'data/own/'
classes = ['background', 'thing']
ratio_range = (0.5, 2.0)
crop_size = (256, 256)
pseudo_maps = 'pseudo_maps'  # folder with the label maps of tools/pseudo_label.py
labeled_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/train',
    ann_dir='labels/train',
    pipeline={{_base_.sup_pipeline}},
)
sup_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/train',
    ann_dir='labels/train',
    pipeline={{_base_.plain_pipeline}},
)
unlabeled_dataset = dict(
    type='UnlabeledDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/unlabeled',
    pipeline={{_base_.unsup_pipeline}},
)
# Simple Baseline's in place of it.
pseudo_labeled_dataset = dict(
    type='PseudoMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/unlabeled',
    ann_dir='${pseudo_maps}',
    pipeline={{_base_.pseudo_pipeline}},
)
test_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='images/val',
    ann_dir='labels/val',
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
