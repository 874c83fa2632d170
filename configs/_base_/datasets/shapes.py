# The demo's generated shapes (tools/dataset/make_shapes.py), 15 of 300 training images labelled.
_base_ = './coco_semi.py'
data_root = 'work_dirs/demo/data/'
classes = ['circle', 'triangle', 'star', 'cross']
fold = 1
percent = 5
labeled_ann = 'annotations/semi_supervised/instances_train.${fold}@${percent}.json'
unlabeled_ann = 'annotations/semi_supervised/instances_train.${fold}@${percent}-unlabeled.json'
val_ann = 'annotations/instances_val.json'
test_ann = 'annotations/instances_val.json'
labeled_images = 'images/train/'
unlabeled_images = 'images/train/'
val_images = 'images/val/'
test_images = 'images/val/'
train_scale = [(192, 128), (192, 176)]
test_scale = (160, 160)
img_norm_cfg = dict(mean=[127.5, 127.5, 127.5], std=[64.0, 64.0, 64.0], to_rgb=False)
data = dict(workers_per_gpu=1, test_samples_per_gpu=8)
