# Supervised baseline of the partial protocol with Cascade Mask R-CNN: the labeled images of one fold alone.
# None known. 8 GPUs x 1 image.
#   DETECTOR=cascade_mask_rcnn bash tools/dist_train_partially.sh baseline FOLD PERCENT 8
_base_ = [
    '../_base_/models/cascade_mask_rcnn_r50_caffe_fpn.py',
    '../_base_/datasets/coco_instance_sup.py',
    '../_base_/schedules/sgd_180k.py',
    '../_base_/runtime.py',
]
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
