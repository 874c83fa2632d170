"""Data sets of boxes: those of COCO files, and those that another model has labeled."""

from .pseudo_label_dataset import PseudoLabelDataset

__all__ = ['PseudoLabelDataset']
