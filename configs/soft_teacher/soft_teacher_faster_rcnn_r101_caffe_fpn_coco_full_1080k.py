# Soft Teacher, full protocol, ResNet-101: x 0.1 at 720k and 960k of 1080k iterations.
# Published (authors' repository, COCO val2017): 46.9 mAP against 43.8 supervised. 8 GPUs x 8 images (1 : 1).
#   bash tools/dist_train.sh configs/soft_teacher/soft_teacher_faster_rcnn_r101_caffe_fpn_coco_full_1080k.py 8
_base_ = './soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_720k.py'
model = dict(
    detector=dict(backbone=dict(depth=101, init_cfg=dict(checkpoint='open-mmlab://detectron2/resnet101_caffe')))
)
lr_config = dict(step=[720000, 960000])
runner = dict(max_iters=1080000)
