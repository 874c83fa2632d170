# Soft Teacher, full protocol, twice as long: x 0.1 at 960k and 1280k of 1440k iterations.
# Published (authors' repository, COCO val2017): 44.5 mAP. 8 GPUs x 8 images (1 : 1).
#   bash tools/dist_train.sh configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_1440k.py 8
_base_ = './soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_720k.py'
lr_config = dict(step=[960000, 1280000])
runner = dict(max_iters=1440000)
