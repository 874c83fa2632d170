"""How often each class is labeled and taught: what tells a teacher that collapses to a few classes."""

import torch
from torch import Tensor


class ClassTally:
    """Counts labels and pseudo labels by class, on their device; reading them is the only wait for it.

    Args:
        num_classes: C; labels outside 0 to C - 1, those to be ignored, are not counted.

    Attributes:
        labeled, taught: (C,) int64, of the labeled images and of the pseudo labels.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.clear()

    def clear(self) -> None:
        """Start counting anew."""
        self.labeled = self.taught = torch.zeros(self.num_classes, dtype=torch.long)

    def add(self, labeled: Tensor | None = None, taught: Tensor | None = None) -> None:
        """Count class numbers, int64 of any shape; None counts nothing."""
        if labeled is not None:
            self.labeled = self.labeled.to(labeled.device) + self._counts(labeled)
        if taught is not None:
            self.taught = self.taught.to(taught.device) + self._counts(taught)

    def _counts(self, labels: Tensor) -> Tensor:
        # torch.bincount waits for a GPU.
        return (labels.reshape(-1, 1) == torch.arange(self.num_classes, device=labels.device)).sum(0)
