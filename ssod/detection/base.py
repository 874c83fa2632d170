"""Student and teacher as a detector of MMDetection."""

from collections.abc import Iterator
from typing import Any

import torch
from mmdet.models import BaseDetector, build_detector
from torch import Tensor, nn

from ssod.core import Batch, SemiModel, TeacherStudent
from ssod.core.errors import InputError

from .dry_run import loss_names_of
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

    _student_loss_names: tuple[str, ...] = ()

    def student_loss_names(self) -> tuple[str, ...]:
        """What the student calls its losses and measures: asked of it once."""
        if not self._student_loss_names:
            self._student_loss_names = loss_names_of(self.student)
        return self._student_loss_names

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Act 1: the student's ordinary losses on the labeled images, whose classes are counted."""
        for keep in self._class_thresholds():
            keep.count_labels(batch['gt_labels'])
        return super().supervised_losses(batch)

    def observe(self, candidates: list[PseudoLabels]) -> None:
        """Let filters learn from the candidates of a batch that has been learned from."""
        for keep in self._class_thresholds():
            keep.observe(candidates)

    def labeled_classes(self, batch: Batch) -> Tensor:
        """Of the boxes."""
        return torch.cat(batch['gt_labels'])

    def surest_score(self, network: nn.Module, batch: Batch) -> float:
        """Of all detections; 0 without one."""
        found = network.simple_test(batch['img'], batch['img_metas'])
        boxes = [own[0] if isinstance(own, tuple) else own for own in found]  # beside masks
        return max((float(rows[:, 4].max()) for own in boxes for rows in own if len(rows)), default=0.0)

    def _class_thresholds(self) -> Iterator[ClassThresholds]:
        return (part for part in self.children() if isinstance(part, ClassThresholds))


class AnyHeadDetector(SemiBaseDetector):
    """A student with any heads: it is asked what it calls its losses.

    Dense heads exchange counts between processes inside their losses: with several processes each batch needs labeled
    and unlabeled images.
    """

    needs_both_sources = True

    def forward_train(
        self, sup: Batch | None = None, unsup_teacher: Batch | None = None, unsup_student: Batch | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch; see :meth:`ssod.core.SemiModel.forward_train`.

        Raises:
            InputError: several processes, and this one lacks labeled or unlabeled images.
        """
        refuse_lonely(sup, unsup_student)
        self.loss_names()  # on all processes at the same time, for it may exchange counts
        return super().forward_train(sup, unsup_teacher, unsup_student)

    def loss_names(self) -> tuple[str, ...]:
        """The student's own."""
        return self.student_loss_names()


def refuse_lonely(sup: Batch | None, unsup_student: Batch | None) -> None:
    """Refuse, where there are several processes, a batch without labeled or without unlabeled images.

    Raises:
        InputError: it is one; the other processes would wait for this one's counts.
    """
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    if several and torch.distributed.get_world_size() > 1 and not (sup and unsup_student):
        raise InputError(
            'dense heads exchange counts between processes inside their losses, so that each batch of each process '
            'needs labeled and unlabeled images: set data.sampler.at_least_one=True'
        )
