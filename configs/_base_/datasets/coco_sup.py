# The labelled part of the same data alone, for the supervised baseline: the same view, the same settings.
_base_ = './coco_semi.py'
data = dict(samples_per_gpu=1, workers_per_gpu=2, train='${labeled_train}')
