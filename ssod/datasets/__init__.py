from . import pipelines
from .builder import SeededDataset, build_test_loader, build_train_loader, collate_branches
from .samplers import MultiSourceSampler, SampleKey
from .semi_dataset import SemiDataset

__all__ = [
    'MultiSourceSampler',
    'SampleKey',
    'SeededDataset',
    'SemiDataset',
    'build_test_loader',
    'build_train_loader',
    'collate_branches',
    'pipelines',
]
