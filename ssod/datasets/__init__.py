from . import pipelines
from .builder import SeededDataset, build_test_loader, build_train_loader, collate_branches
from .pseudo_labels import PseudoLabelDataset
from .samplers import MultiSourceSampler, SampleKey
from .semi_dataset import SemiDataset

__all__ = [
    'MultiSourceSampler',
    'PseudoLabelDataset',
    'SampleKey',
    'SeededDataset',
    'SemiDataset',
    'build_test_loader',
    'build_train_loader',
    'collate_branches',
    'pipelines',
]
