# The partial protocol's schedule for dense heads, whose first losses are steep.
_base_ = './sgd_180k.py'
optimizer_config = dict(_delete_=True, grad_clip=dict(max_norm=20, norm_type=2))
