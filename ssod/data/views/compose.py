"""How ops are put together: parameters drawn apart from applied, and ops in a random order.

The choice of one op out of several is mmdet's own ``AutoAugment(policies=[[op], [op, op]])``, which is uniform.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import Compose


class DrawThenApply(ABC):
    """A pipeline op that draws its parameters apart from applying them, so that both can be tested and repeated.

    Every draw comes from numpy's global generator, which the dataset seeds for each sample. ``apply`` replaces entries
    of ``results`` and never writes into an array found there: several branches share one decoded image.
    """

    @abstractmethod
    def draw(self, results: dict[str, Any]) -> dict[str, Any]:
        """The parameters of one application, as keyword arguments of ``apply``."""

    @abstractmethod
    def apply(self, results: dict[str, Any], **params: Any) -> dict[str, Any] | None:
        """Apply the op with the given parameters."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Draw, then apply."""
        return self.apply(results, **self.draw(results))

    def __repr__(self) -> str:
        options = ', '.join(f'{name}={value}' for name, value in vars(self).items())
        return f'{type(self).__name__}({options})'


@PIPELINES.register_module()
class RandomOrder(DrawThenApply):
    """Apply all the given ops, in an order drawn uniformly from all orders.

    Source: the strong view of Soft Teacher (Xu et al. ICCV 2021, sec. 4) applies its color and its geometric op so.

    Args:
        transforms: ops, or their configs.
    """

    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = Compose(transforms).transforms

    def draw(self, results: dict[str, Any]) -> dict[str, Any]:
        """``order``: a permutation of the ops' indices."""
        return dict(order=np.random.permutation(len(self.transforms)))

    def apply(self, results: dict[str, Any], order: np.ndarray) -> dict[str, Any] | None:
        """Apply the ops in the given order; None as soon as one of them gives None (the sample is to be skipped)."""
        return Compose([self.transforms[i] for i in order])(results)
