"""Weights that a backbone starts from: where their files are found, and how their tensors are named."""

from .files import WeightFile, find_weights, published
from .initializer import PretrainedBackbone
from .timm_backbone import TimmBackbone

__all__ = ['PretrainedBackbone', 'TimmBackbone', 'WeightFile', 'find_weights', 'published']
