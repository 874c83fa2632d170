"""Pictures of a sample, for people."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Panel(NamedTuple):
    """One picture.

    Attributes:
        title: what it shows.
        picture: (h, w, 3) uint8 BGR.
    """

    title: str
    picture: np.ndarray


@dataclass
class Row:
    """What there is to see of one image of a data set.

    Attributes:
        name: of the image.
        source: 'labeled' or 'unlabeled'.
        views: after each op of the pipeline, if that is asked for, and the views that training gets.
        found: what the teacher makes of it; empty without a checkpoint.
    """

    name: str
    source: str
    views: list[Panel] = field(default_factory=list)
    found: list[Panel] = field(default_factory=list)

    @property
    def panels(self) -> list[Panel]:
        """All, in order."""
        return [*self.views, *self.found]
