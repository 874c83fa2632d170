"""Student and teacher as a detector of MMDetection."""

from collections.abc import Iterator
from typing import Any

from mmdet.models import BaseDetector, build_detector
from torch import Tensor

from ssod.core import Batch, SemiModel, TeacherStudent

from .pseudo_labels import ClassThresholds, PseudoLabels


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
    """A detector whose student learns from partly labeled images: base of the methods for detection.

    Its filters that are :class:`ssod.detection.pseudo_labels.ClassThresholds` learn from what passes.
    """

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Act 1: the student's ordinary losses on the labeled images, whose classes are counted."""
        for keep in self._class_thresholds():
            keep.count_labels(batch['gt_labels'])
        return super().supervised_losses(batch)

    def observe(self, candidates: list[PseudoLabels]) -> None:
        """Let filters learn from the candidates of a batch that has been learned from."""
        for keep in self._class_thresholds():
            keep.observe(candidates)

    def _class_thresholds(self) -> Iterator[ClassThresholds]:
        return (part for part in self.children() if isinstance(part, ClassThresholds))
