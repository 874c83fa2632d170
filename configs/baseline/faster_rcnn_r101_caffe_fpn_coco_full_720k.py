# Supervised baseline of the full protocol with ResNet-101.
# Published (authors' repository, COCO val2017): 43.8 mAP. 8 GPUs x 2 images.
#   bash tools/dist_train.sh configs/baseline/faster_rcnn_r101_caffe_fpn_coco_full_720k.py 8
_base_ = './faster_rcnn_r50_caffe_fpn_coco_full_720k.py'
model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint='open-mmlab://detectron2/resnet101_caffe')))
