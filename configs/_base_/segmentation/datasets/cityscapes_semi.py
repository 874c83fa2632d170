# Cityscapes, 2,975 training and 500 validation images of 2048 x 1024; label maps of train ids, as MMSegmentation's
# tools/convert_datasets/cityscapes.py writes them. Every 8th training image of the sorted list labeled (372); the
# papers' own lists go into `labeled_list` and `unlabeled_list`, with every=None. `${name}` takes that setting.
_base_ = './views.py'
data_root = 'data/cityscapes/'
classes = [
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign', 'vegetation', 'terrain',
    'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle',
]  # fmt: skip
every = 8  # 1/8: every 8th of the sorted names is labeled; None: the lists say which
labeled_list = None  # all images of the folder
unlabeled_list = None
ratio_range = (0.5, 2.0)
crop_size = (769, 769)
pseudo_maps = 'pseudo_maps'  # folder with the label maps of tools/pseudo_label.py
labeled_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='leftImg8bit/train',
    img_suffix='_leftImg8bit.png',
    split='${labeled_list}',
    ann_dir='gtFine/train',
    seg_map_suffix='_gtFine_labelTrainIds.png',
    every_nth=('${every}', 'labeled'),
    palette='cityscapes',
    pipeline={{_base_.sup_pipeline}},
)
sup_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='leftImg8bit/train',
    img_suffix='_leftImg8bit.png',
    split='${labeled_list}',
    ann_dir='gtFine/train',
    seg_map_suffix='_gtFine_labelTrainIds.png',
    every_nth=('${every}', 'labeled'),
    palette='cityscapes',
    pipeline={{_base_.plain_pipeline}},
)
unlabeled_dataset = dict(
    type='UnlabeledDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='leftImg8bit/train',
    img_suffix='_leftImg8bit.png',
    split='${unlabeled_list}',
    every_nth=('${every}', 'unlabeled'),
    pipeline={{_base_.unsup_pipeline}},
)
# Simple Baseline's in place of it.
pseudo_labeled_dataset = dict(
    type='PseudoMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='leftImg8bit/train',
    img_suffix='_leftImg8bit.png',
    split='${unlabeled_list}',
    ann_dir='${pseudo_maps}',
    every_nth=('${every}', 'unlabeled'),
    palette='cityscapes',
    pipeline={{_base_.pseudo_pipeline}},
)
test_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='leftImg8bit/val',
    img_suffix='_leftImg8bit.png',
    ann_dir='gtFine/val',
    seg_map_suffix='_gtFine_labelTrainIds.png',
    palette='cityscapes',
    pipeline={{_base_.test_pipeline}},
)
# Images of a step that lr and schedule are for. Another batch: --auto-scale.
base_batch = dict(labeled=8, unlabeled=8)
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=2,
    sampler=dict(ratio=(1, 1), by_prob=False),
    train=dict(type='SemiDataset', labeled=labeled_dataset, unlabeled=unlabeled_dataset),
    val=test_dataset,
    test=test_dataset,
)
