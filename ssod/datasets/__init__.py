from . import pipelines
from .builder import SeededDataset, build_test_loader, build_train_loader, collate_branches, collate_views
from .packed import PackedList, garbage_collection_off, pack_annotations
from .pseudo_labels import PseudoLabelDataset
from .samplers import MultiSourceSampler, SampleKey
from .semi_dataset import SemiDataset

__all__ = [
    'MultiSourceSampler',
    'PackedList',
    'PseudoLabelDataset',
    'SampleKey',
    'SeededDataset',
    'SemiDataset',
    'build_test_loader',
    'build_train_loader',
    'collate_branches',
    'collate_views',
    'garbage_collection_off',
    'pack_annotations',
    'pipelines',
]
