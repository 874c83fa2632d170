# Supervised baseline of the full protocol with HTC and COCO-stuff's maps: all of train2017, lr 0.02.
# None known. 8 GPUs x 2 images; x 0.1 at 480k and 640k of 720k iterations, the schedule of Faster R-CNN's.
#   bash tools/dist_train.sh configs/baseline/htc_r50_caffe_fpn_coco_full_720k.py 8
_base_ = [
    '../_base_/models/htc_r50_caffe_fpn.py',
    '../_base_/datasets/coco_stuff_sup.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
base_batch = dict(labeled=16)
data = dict(samples_per_gpu=2, train=dict(ann_file='annotations/instances_train2017.json'))
optimizer = dict(lr=0.02)
lr_config = dict(step=[480000, 640000])
runner = dict(max_iters=720000)
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
