# Supervised baseline with HTC++ and Swin-L: all of train2017 with COCO-stuff's maps, 72 epochs.
# Published (Swin paper, COCO val2017, single scale): 57.1 box AP; 50.4 mask AP with several. 16 GPUs x 1 image.
#   bash tools/dist_train.sh configs/baseline/htc++_swin_l_fpn_coco_full_527k.py 16
_base_ = [
    '../_base_/models/htc_swin_l_fpn.py',
    '../_base_/datasets/coco_stuff_swin_sup.py',
    '../_base_/schedules/adamw_swin.py',
    '../_base_/runtime.py',
]
evaluation = dict(metric=['segm', 'bbox'])  # the first one tells the best checkpoint
