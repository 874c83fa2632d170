from .pseudo_label_dataset import PseudoLabelDataset

__all__ = ['PseudoLabelDataset']
