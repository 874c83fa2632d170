"""Self-training from pseudo labels on disk, as in STAC (Sohn et al., arXiv 2005.04757, 2020)."""

from mmdet.models import DETECTORS
from torch import Tensor

from .semi_base import Batch, SemiBaseDetector


@DETECTORS.register_module()
class SelfTraining(SemiBaseDetector):
    """A student that learns from labelled images and, in the same way, from images that another model has labelled.

    ``L = sup_weight * L_s + unsup_weight * L_u``, both the student's own losses: ``sup`` holds labels,
    ``unsup_student`` a strongly augmented view with pseudo labels under the keys of labels. What a label is, boxes or
    a map, is the student's matter.

    The teacher teaches nothing here. It is what the base class says, the student's average, where the config has a
    :class:`ssod.hooks.MeanTeacherHook`, and then evaluated beside the student.

    ``semi_train_cfg`` (besides the base class's keys):
        loss_names: of the student's losses and measures, those of a two-stage detector by default.

    Raises:
        ValueError: in training, the student gives losses that ``loss_names`` lacks: a rank without labelled or without
            unlabelled images could not log the same.
    """

    def loss_names(self) -> tuple[str, ...]:
        """What ``semi_train_cfg`` says."""
        default = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox')
        return tuple(self.semi_train_cfg.get('loss_names', default))

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """The student's ordinary losses, in the order of their names."""
        losses = super().supervised_losses(batch)
        names = self.loss_names()
        if losses.keys() != set(names):
            raise ValueError(f'SelfTraining: the student gives {list(losses)}: name them in semi_train_cfg.loss_names')
        return {name: losses[name] for name in names}

    def unsupervised_losses(self, teacher_batch: Batch | None, student_batch: Batch) -> tuple[dict, dict]:
        """The same losses on pseudo labels; no further figures.

        Args:
            teacher_batch: not used, a weak view is not needed.
            student_batch: the strong view, an ordinary batch of the detector with pseudo labels as labels.
        """
        return self.supervised_losses(student_batch), {}
