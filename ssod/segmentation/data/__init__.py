"""Data sets and pipeline ops in MMSegmentation's registries; importing this package registers them."""

from .datasets import LabelMapDataset, PseudoMapDataset, SemiMapDataset, UnionDataset, UnlabeledDataset, build_dataset
from .pipelines import JitterGrayBlur, MapBranches, NormalizeMapOnDevice, StrongColors

__all__ = [
    'JitterGrayBlur',
    'LabelMapDataset',
    'MapBranches',
    'NormalizeMapOnDevice',
    'PseudoMapDataset',
    'SemiMapDataset',
    'StrongColors',
    'UnionDataset',
    'UnlabeledDataset',
    'build_dataset',
]
