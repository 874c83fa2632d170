"""Student and teacher as a detector of MMDetection."""

from abc import abstractmethod
from typing import Any, NamedTuple

from mmdet.models import BaseDetector, build_detector
from torch import Tensor

from ssod.core import Batch, SemiModel

from .pseudo_labels import PseudoLabels


class LabeledView(NamedTuple):
    """One view of an image, to look at.

    Attributes:
        img: (3, H, W), normalized.
        img_meta: of the view.
        labels: pseudo boxes, in pixels of the view.
    """

    img: Tensor
    img_meta: dict
    labels: PseudoLabels


class SemiBaseDetector(SemiModel, BaseDetector):
    """A detector whose student learns from partly labeled images: base of the methods for detection.

    Inference is that of the student or the teacher, as ``predict_on`` says, in MMDetection's result format.
    """

    build_model = staticmethod(build_detector)

    def extract_feat(self, img: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the model that inference uses."""
        return self.predictor.extract_feat(img)

    def simple_test(self, img: Tensor, img_metas: list[dict], **kwargs: Any) -> list:
        """Detections of a batch by the model that inference uses, in MMDetection's result format."""
        return self.predictor.simple_test(img, img_metas, **kwargs)

    def aug_test(self, imgs: list[Tensor], img_metas: list[list[dict]], **kwargs: Any) -> list:
        """Detections with test-time augmentation by the model that inference uses."""
        return self.predictor.aug_test(imgs, img_metas, **kwargs)

    @abstractmethod
    def pseudo_label_views(self, unsup_teacher: Batch | None, unsup_student: Batch) -> list[LabeledView]:
        """The views of the first unlabeled image with their pseudo boxes, for people to look at."""

    @abstractmethod
    def why_no_pseudo_boxes(self, max_score: float) -> str:
        """Advice for a run whose student sees no pseudo boxes.

        Args:
            max_score: the highest score of the teacher lately.
        """
