# PASCAL VOC 2012 with SBD's annotations: trainaug.txt has 10,582 images, val.txt 1,449. Every 8th of the sorted names
# labeled: Cross Pseudo Supervision's list of 1/8 to the name (16, 4 and 2 likewise). `${name}` takes that setting.
_base_ = './views.py'
data_root = 'data/VOCdevkit/VOC2012/'
classes = [
    'background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable',
    'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor',
]  # fmt: skip
every = 8  # 1/8: every 8th of the sorted names is labeled; None: the lists say which
labeled_list = 'ImageSets/Segmentation/trainaug.txt'
unlabeled_list = 'ImageSets/Segmentation/trainaug.txt'
ratio_range = (0.5, 2.0)
crop_size = (512, 512)
pseudo_maps = 'pseudo_maps'  # folder with the label maps of tools/pseudo_label.py
labeled_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='JPEGImages',
    img_suffix='.jpg',
    split='${labeled_list}',
    ann_dir='SegmentationClassAug',
    every_nth=('${every}', 'labeled'),
    palette='voc',
    pipeline={{_base_.sup_pipeline}},
)
sup_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='JPEGImages',
    img_suffix='.jpg',
    split='${labeled_list}',
    ann_dir='SegmentationClassAug',
    every_nth=('${every}', 'labeled'),
    palette='voc',
    pipeline={{_base_.plain_pipeline}},
)
unlabeled_dataset = dict(
    type='UnlabeledDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='JPEGImages',
    img_suffix='.jpg',
    split='${unlabeled_list}',
    every_nth=('${every}', 'unlabeled'),
    pipeline={{_base_.unsup_pipeline}},
)
# Simple Baseline's in place of it.
pseudo_labeled_dataset = dict(
    type='PseudoMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='JPEGImages',
    img_suffix='.jpg',
    split='${unlabeled_list}',
    ann_dir='${pseudo_maps}',
    every_nth=('${every}', 'unlabeled'),
    palette='voc',
    pipeline={{_base_.pseudo_pipeline}},
)
test_dataset = dict(
    type='LabelMapDataset',
    data_root='${data_root}',
    classes='${classes}',
    img_dir='JPEGImages',
    img_suffix='.jpg',
    ann_dir='SegmentationClassAug',
    split='ImageSets/Segmentation/val.txt',
    palette='voc',
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
