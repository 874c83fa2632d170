"""Raw folders of images and labels, as people have them, to a data set that can be trained on."""

from .new import Report, new_dataset
from .readers import read_labels
from .summary import DataSummary, SplitSummary

__all__ = ['DataSummary', 'Report', 'SplitSummary', 'new_dataset', 'read_labels']
