"""What needs no method: the supervised baseline, with its moving average, and self-training from label maps on disk."""

import torch
from mmseg.models import SEGMENTORS
from torch import Tensor

from ssod.core import Batch
from ssod.core.model import SemiTrainCfg
from ssod.core.self_training import SelfTrainingModel
from ssod.core.supervised import SupervisedModel

from .base import SemiSegmentor, TeacherStudentSegmentor
from .maps import IGNORE, loss_names


@SEGMENTORS.register_module()
class SupervisedSegmentor(SupervisedModel, TeacherStudentSegmentor):
    """:class:`ssod.core.supervised.SupervisedModel` over an ``EncoderDecoder`` of MMSegmentation."""


@SEGMENTORS.register_module()
class SelfTrainingSegmentor(SelfTrainingModel, SemiSegmentor):
    """A student that learns label maps which another model wrote, on strong views, as it learns true ones.

    ``unsup_student`` holds ``gt_semantic_seg``; `ssod compare` trains label-once with it. Simple Baseline does more.
    """

    Settings = SemiTrainCfg

    def loss_names(self) -> tuple[str, ...]:
        """Of both sources: those of the segmentor's own ``forward_train``."""
        return loss_names(self.student)

    def unsup_loss_names(self) -> tuple[str, ...]:
        """As of the labeled images."""
        return self.loss_names()

    def project_pseudo_labels(self, found: None, student_batch: Batch) -> Tensor:
        """(N, H, W) label maps of the strong view: its ops moved them along."""
        return student_batch['gt_semantic_seg'][:, 0]

    def unsupervised_losses(self, student_batch: Batch, labels: Tensor) -> dict[str, Tensor]:
        """The student's own; zero where no pixel has a label, of which a mean would be nan."""
        if not (labels != IGNORE).any():
            return self.zero_losses()
        return self.supervised_losses(student_batch)

    @torch.no_grad()
    def figures(self, labels: Tensor) -> dict[str, Tensor]:
        """``labeled_share``: percent of the pixels that have a label."""
        return dict(labeled_share=100 * (labels != IGNORE).float().mean())

    def zero_figures(self) -> dict[str, Tensor]:
        """0 without an unlabeled image."""
        return dict(labeled_share=next(self.student.parameters()).new_zeros(()))
