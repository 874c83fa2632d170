"""Labeled and unlabeled images: data sets, samplers, loaders, and the ops that make the views."""

from . import views
from .loader import SeededDataset, build_test_loader, build_train_loader, collate_branches, collate_views
from .preprocessing import normalize_images, normalize_inputs, normalized
from .sampler import MultiSourceSampler, SampleKey
from .semi_dataset import SemiDataset
from .serialize import PackedList, garbage_collection_off, pack_annotations

__all__ = [
    'MultiSourceSampler',
    'PackedList',
    'SampleKey',
    'SeededDataset',
    'SemiDataset',
    'build_test_loader',
    'build_train_loader',
    'collate_branches',
    'collate_views',
    'garbage_collection_off',
    'normalize_images',
    'normalize_inputs',
    'normalized',
    'pack_annotations',
    'views',
]
