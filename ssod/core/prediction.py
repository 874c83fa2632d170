"""What a trained model says of an image, whatever its task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as rle

from ssod.data.labels.masks import box_around

from .errors import InputError


@dataclass(eq=False)
class Prediction:
    """Objects on an image, best first; or a label map, whose classes are the objects, the largest first.

    Frame: pixels of the image as it was given, whatever the model scaled it to.

    Attributes:
        size: (height, width) of the image.
        boxes: (n, 4) float32 left, top, right, bottom; of a label map around all pixels of a class.
        scores: (n,) float32 in [0, 1]; of a label map the mean probability of the class's pixels.
        labels: (n,) int64 numbers of classes, from 0.
        names: n names of classes.
        run_lengths: n masks in COCO's compressed run lengths; None of a model without masks, and of a label map.
        label_map: (height, width) uint8 number of the class of each pixel; None of a detector.
        place: of the image among those that were given, from 0.
        seconds: from asking for it until it was there, reading included; of a batch the first has them all.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: list[str]
    run_lengths: list[dict[str, Any]] | None = None
    label_map: np.ndarray | None = None
    place: int = 0
    seconds: float = 0.0

    @classmethod
    def of_map(cls, labels: np.ndarray, scores: np.ndarray, classes: Sequence[str]) -> 'Prediction':
        """Of a label map.

        Args:
            labels: (height, width) uint8.
            scores: (height, width) float32, the probability of each pixel's class.
            classes: the names of all.
        """
        counts = np.bincount(labels.reshape(-1), minlength=len(classes))
        sums = np.bincount(labels.reshape(-1), scores.reshape(-1), minlength=len(classes))
        order = np.argsort(-counts, kind='stable')
        present = order[counts[order] > 0]
        boxes = np.array([box_around(labels == number) for number in present], np.float32)
        means = (sums[present] / counts[present]).astype(np.float32)
        return cls(labels.shape, boxes, means, present, [classes[i] for i in present], label_map=labels)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def masks(self) -> np.ndarray | None:
        """(n, height, width) bool, decoded when it is asked for; None of a model without masks."""
        if self.label_map is not None:
            return self.label_map == self.labels[:, None, None]
        if self.run_lengths is None:
            return None
        if not self.run_lengths:
            return np.zeros((0, *self.size), bool)
        return np.moveaxis(rle.decode(self.run_lengths), -1, 0).astype(bool)

    def records(self) -> list[dict[str, Any]]:
        """Each object as COCO's results have it; of a label map the share of the pixels of each class.

        ``category_id`` is 1 for the first class of a detector, 0 for that of a label map.
        """
        if self.label_map is not None:
            shares = [float((self.label_map == number).mean()) for number in self.labels]
            rows = zip(self.labels.tolist(), self.names, shares, strict=True)
            return [dict(category_id=number, category=name, share=round(share, 4)) for number, name, share in rows]
        masks = [{}] * len(self) if self.run_lengths is None else [dict(segmentation=code) for code in self.run_lengths]
        return [
            dict(
                category_id=int(number) + 1,
                category=name,
                bbox=[round(float(value), 2) for value in (x1, y1, x2 - x1, y2 - y1)],
                score=round(float(score), 4),
                **mask,
            )
            for number, name, (x1, y1, x2, y2), score, mask in zip(
                self.labels, self.names, self.boxes, self.scores, masks, strict=True
            )
        ]

    def to_supervision(self) -> Any:
        """The same as ``supervision.Detections``, for its annotators, trackers and zones.

        Raises:
            InputError: the package supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise InputError('to_supervision needs the package supervision: pip install supervision') from error
        return supervision.Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=self.labels,
            mask=self.masks,
            data=dict(class_name=np.array(self.names, str)),
        )
