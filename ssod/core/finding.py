"""What a model finds on an image for a person to correct, and how far it doubts it."""

from dataclasses import dataclass, field

import numpy as np

from ssod.data.labels import LabelObject


@dataclass
class Finding:
    """Of one image.

    Attributes:
        objects: above the threshold of their class, in pixels of the image, best first; of a label map its classes.
        labels: (h, w) uint8 label map, 255 where the model is below the threshold; None of a detector.
        doubts: figures by name, each 0 where the model is sure: 'disagreement' of student and teacher in [0, 1],
            'variance' of the boxes under jitter, 'uncertainty', one less the mean probability.
    """

    objects: list[LabelObject]
    labels: np.ndarray | None = None
    doubts: dict[str, float] = field(default_factory=dict)
