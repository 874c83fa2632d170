# The BCCD example's, short enough for a CPU.
_base_ = './adamw_scratch.py'
lr_config = dict(step=[650])
runner = dict(max_iters=800)
checkpoint_config = dict(interval=200)
evaluation = dict(interval=200)
