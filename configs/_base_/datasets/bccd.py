# BCCD, blood cells: 205 training images, 10 % of them labelled. The example of a data set of one's own: a folder with
# annotations/instances_{train,val,test}.json, annotations/semi_supervised/ (tools/dataset/semi_coco.py) and images/.
_base_ = './coco_semi.py'
data_root = 'data/bccd/'
classes = ['Platelets', 'RBC', 'WBC']
fold = 1
percent = 10
labeled_ann = 'annotations/semi_supervised/instances_train.${fold}@${percent}.json'
unlabeled_ann = 'annotations/semi_supervised/instances_train.${fold}@${percent}-unlabeled.json'
val_ann = 'annotations/instances_val.json'
test_ann = 'annotations/instances_test.json'
labeled_images = 'images/'
unlabeled_images = 'images/'
val_images = 'images/'
test_images = 'images/'
train_scale = [(400, 192), (400, 288)]
test_scale = (320, 240)
img_norm_cfg = dict(mean=[127.5, 127.5, 127.5], std=[64.0, 64.0, 64.0], to_rgb=False)
data = dict(workers_per_gpu=1, test_samples_per_gpu=4)
