# The labeled images of cityscapes_semi.py, and the others with the label maps of tools/pseudo_label.py.
_base_ = './cityscapes_semi.py'
data = dict(
    _delete_=True,
    samples_per_gpu=4,
    workers_per_gpu=2,
    sampler=dict(ratio=(1, 1), by_prob=False),
    train=dict(type='SemiDataset', labeled={{_base_.labeled_dataset}}, unlabeled={{_base_.pseudo_labeled_dataset}}),
    val={{_base_.test_dataset}},
    test={{_base_.test_dataset}},
)
