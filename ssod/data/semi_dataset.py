"""Labeled and unlabeled images as one indexed set."""

from typing import Any

from mmdet.datasets import DATASETS, build_dataset
from torch.utils.data import ConcatDataset


@DATASETS.register_module()
class SemiDataset(ConcatDataset):
    """Labeled images first, unlabeled ones after them.

    A sample is what its source's pipeline gives: the views that ``MultiBranch`` names.

    Args:
        labeled: config of the labeled data set.
        unlabeled: config of the unlabeled one. Give it ``filter_empty_gt=False``: its images have no boxes.

    Attributes:
        sources: the two data sets, by name.
        CLASSES: class names of the labeled data set.
    """

    build_source = staticmethod(build_dataset)  # of the task: a subclass in another registry builds with its own

    def __init__(self, labeled: dict, unlabeled: dict) -> None:
        self.sources: dict[str, Any] = dict(labeled=self.build_source(labeled), unlabeled=self.build_source(unlabeled))
        super().__init__(self.sources.values())
        self.CLASSES = self.sources['labeled'].CLASSES
        self.PALETTE = getattr(self.sources['labeled'], 'PALETTE', None)
