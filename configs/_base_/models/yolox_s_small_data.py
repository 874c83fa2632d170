# The same for a data set of one's own.
_base_ = './yolox_s.py'
model = dict(bbox_head=dict(num_classes=1))  # `classes` sets other numbers
