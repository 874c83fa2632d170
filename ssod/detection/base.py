"""Student and teacher as a detector of MMDetection."""

from typing import Any

from mmdet.models import BaseDetector, build_detector
from torch import Tensor

from ssod.core import SemiModel, TeacherStudent


class TeacherStudentDetector(TeacherStudent, BaseDetector):
    """A student and its teacher as a detector.

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


class SemiBaseDetector(SemiModel, TeacherStudentDetector):
    """A detector whose student learns from partly labeled images: base of the methods for detection."""
