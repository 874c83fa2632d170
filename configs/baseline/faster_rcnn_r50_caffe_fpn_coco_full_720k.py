# Supervised baseline of the full protocol: all of train2017, lr 0.02, x 0.1 at 480k and 640k of 720k iterations.
# Published (authors' repository, COCO val2017): 40.9 mAP. 8 GPUs x 2 images.
#   bash tools/dist_train.sh configs/baseline/faster_rcnn_r50_caffe_fpn_coco_full_720k.py 8
_base_ = './faster_rcnn_r50_caffe_fpn_coco_partial_180k.py'
base_batch = dict(labeled=16)
data = dict(samples_per_gpu=2, train=dict(ann_file='annotations/instances_train2017.json'))
optimizer = dict(lr=0.02)
lr_config = dict(step=[480000, 640000])
runner = dict(max_iters=720000)
