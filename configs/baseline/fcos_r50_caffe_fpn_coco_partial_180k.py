# Supervised baseline of the partial protocol with FCOS: 1, 2, 5 or 10 % of train2017.
# Others' (PaddleDetection, 5 and 10 %): 21.3, 26.3 mAP. Ours: not trained. 8 GPUs x 1 image.
#   bash tools/dist_train.sh configs/baseline/fcos_r50_caffe_fpn_coco_partial_180k.py 8
_base_ = [
    '../_base_/models/fcos_r50_caffe_fpn.py',
    '../_base_/datasets/coco_sup.py',
    '../_base_/schedules/sgd_180k_clipped.py',
    '../_base_/runtime.py',
]
