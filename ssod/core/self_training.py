"""Self-training from pseudo labels on disk, as in STAC (Sohn et al., arXiv 2005.04757, 2020)."""

from dataclasses import dataclass

from torch import Tensor

from .model import SemiModel, SemiTrainCfg
from .views import Batch


@dataclass
class SelfTrainingCfg(SemiTrainCfg):
    """``semi_train_cfg`` of self-training.

    Attributes:
        loss_names: of the student's losses and measures.
    """

    loss_names: tuple[str, ...] = ()


class SelfTrainingModel(SemiModel):
    """A student that learns from labeled images and, in the same way, from images that another model has labeled.

    ``L = sup_weight * L_s + unsup_weight * L_u``, both the student's own losses: ``sup`` holds labels,
    ``unsup_student`` a strongly augmented view with pseudo labels under the keys of labels. What a label is, boxes or
    a map, is the student's matter.

    The teacher teaches nothing here: it is the student's average, evaluated beside the student.

    Raises:
        ValueError: in training, the student gives losses that ``loss_names`` lacks: a rank without labeled or without
            unlabeled images could not log the same.
    """

    Settings = SelfTrainingCfg
    semi_train_cfg: SelfTrainingCfg

    def loss_names(self) -> tuple[str, ...]:
        """What ``semi_train_cfg`` says."""
        return tuple(self.semi_train_cfg.loss_names)

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """The student's ordinary losses, in the order of their names."""
        losses = super().supervised_losses(batch)
        names = self.loss_names()
        if losses.keys() != set(names):
            raise ValueError(f'SelfTraining: the student gives {list(losses)}: name them in semi_train_cfg.loss_names')
        return {name: losses[name] for name in names}

    def find_pseudo_labels(self, teacher_batch: Batch | None) -> None:
        """Nothing: the pseudo labels came with the images."""

    def project_pseudo_labels(self, found: None, student_batch: Batch) -> None:
        """Nothing: the strong view's ops moved the pseudo labels along."""

    def unsupervised_losses(self, student_batch: Batch, labels: None) -> dict[str, Tensor]:
        """The student's losses on the strong view and the pseudo labels that are in its batch."""
        return self.supervised_losses(student_batch)
