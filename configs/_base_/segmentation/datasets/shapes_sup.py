# The labeled images of shapes_semi.py alone, for a supervised baseline: the same views, and as many per step.
_base_ = './shapes_semi.py'
base_batch = dict(_delete_=True, labeled=4)
data = dict(
    _delete_=True,
    samples_per_gpu=4,
    workers_per_gpu=2,
    train={{_base_.sup_dataset}},
    val={{_base_.test_dataset}},
    test={{_base_.test_dataset}},
)
