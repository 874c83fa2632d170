"""Weights that a backbone starts from: where their files are found, and how their tensors are named."""

from .files import WeightFile, find_weights, published
from .initializer import PretrainedBackbone

__all__ = ['PretrainedBackbone', 'WeightFile', 'find_weights', 'published']
