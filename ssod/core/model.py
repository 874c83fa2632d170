"""The loss of a batch that is partly labeled, whatever the task."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .class_tally import ClassTally
from .settings import check_weight
from .teacher_student import TeacherStudent, TeacherStudentCfg, reduced
from .views import Batch, in_order_of


@dataclass
class SemiTrainCfg(TeacherStudentCfg):
    """The keys of ``semi_train_cfg`` that every method has.

    Attributes:
        ema: how the teacher follows the student, the keys of :class:`ssod.core.EMA`.
        sup_weight: weight of the labeled images' losses.
        unsup_weight: weight of the unlabeled images' losses.
    """

    sup_weight: float = 1.0
    unsup_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weight('semi_train_cfg.sup_weight', self.sup_weight)
        check_weight('semi_train_cfg.unsup_weight', self.unsup_weight)


class SemiModel(TeacherStudent):
    """A student and its teacher, of which a subclass says what unlabeled images teach.

    A method says what happens in the four acts of :meth:`forward_train`. ``semi_train_cfg`` takes the keys of
    ``Settings``, a :class:`SemiTrainCfg`; the other arguments are those of :class:`TeacherStudent`.

    Attributes:
        sup_share, unsup_share: further factors of the two losses, 1 unless a step of the optimizer has several
            iterations (:class:`ssod.hooks.StepSharesHook`).
        tally: counts the classes of labels and pseudo labels for :class:`ssod.hooks.TeacherCollapseHook`, or None.
    """

    Settings: type[SemiTrainCfg] = SemiTrainCfg
    semi_train_cfg: SemiTrainCfg
    tally: ClassTally | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sup_weight = self.semi_train_cfg.sup_weight
        self.unsup_weight = self.semi_train_cfg.unsup_weight
        self.sup_share = self.unsup_share = 1.0

    def forward_train(
        self, sup: Batch | None = None, unsup_teacher: Batch | None = None, unsup_student: Batch | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch: ``L = sup_weight * L_s + unsup_weight * L_u`` (section 3.1, equation 1).

        Args:
            sup: the labeled images, or None (a rank may have none).
            unsup_teacher, unsup_student: the weak and the strong view of the same unlabeled images, or None.

        Returns:
            The model's losses behind ``sup_`` and ``unsup_``, weighted, and figures to log. The same keys whatever
            branches are there: a missing one gives zeros that are tied to the student's parameters.
        """
        if sup:
            batch = self.preprocess(sup)
            self.count_classes(batch)
            supervised = self.supervised_losses(batch)
        else:
            supervised = self.zero_losses()
        if unsup_student and self.unsup_weight > 0:
            student_batch = self.preprocess(unsup_student)
            teacher_batch = unsup_teacher and in_order_of(self.preprocess(unsup_teacher), student_batch['img_metas'])
            found = self.find_pseudo_labels(teacher_batch)
            labels = self.project_pseudo_labels(found, student_batch)
            self.count_classes(labels=labels)
            unsupervised = self.unsupervised_losses(student_batch, labels)
            figures = self.figures(labels)
        else:
            unsupervised, figures = self.zero_losses(self.unsup_loss_names()), self.zero_figures()
        return {
            **weighted(supervised, self.sup_weight * self.sup_share, 'sup_'),
            **weighted(unsupervised, self.unsup_weight * self.unsup_share, 'unsup_'),
            **figures,
        }

    def count_classes(self, batch: Batch | None = None, labels: Any = None) -> None:
        """Let ``tally``, if there is one, count the classes of a labeled batch and of pseudo labels."""
        if self.tally is not None:
            self.tally.add(
                None if batch is None else self.labeled_classes(batch),
                None if labels is None else self.taught_classes(labels),
            )

    def labeled_classes(self, batch: Batch) -> Tensor | None:
        """Class numbers of a labeled batch, int64 of any shape; None: the task does not say them."""

    def taught_classes(self, labels: Any) -> Tensor | None:
        """Class numbers of :meth:`project_pseudo_labels`; None: they cannot be compared with those of labels."""

    def surest_score(self, network: nn.Module, batch: Batch) -> float | None:
        """The highest score that student or teacher, in eval mode, gives on a batch; None: the task has none."""

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Act 1: the student's ordinary losses on the labeled images."""
        return self.student_losses(batch)

    def student_losses(self, batch: Batch) -> dict[str, Tensor]:
        """The student's own losses of a batch with labels, all of their names, summed over feature levels."""
        losses = reduced(self.student.forward_train(**batch) or {})  # MMDetection gives None without a valid anchor
        if len(losses) < len(self.loss_names()):  # MMDetection leaves out the RoI losses of a batch without a RoI
            losses = {**self.zero_losses(), **losses}
        return losses

    @abstractmethod
    def find_pseudo_labels(self, teacher_batch: Batch | None) -> Any:
        """Act 2: what the teacher finds on the weak view, without gradient.

        Args:
            teacher_batch: ``img`` (B, 3, H, W) and ``img_metas``, images in the order of the strong view.

        Returns:
            A structure of the method's own, coordinates in the weak view.
        """

    @abstractmethod
    def project_pseudo_labels(self, found: Any, student_batch: Batch) -> Any:
        """Act 3: the pseudo labels that the student learns from, chosen and moved to the strong view."""

    @abstractmethod
    def unsupervised_losses(self, student_batch: Batch, labels: Any) -> dict[str, Tensor]:
        """Act 4: the student's losses on the strong view, unweighted, under :meth:`unsup_loss_names`."""

    @abstractmethod
    def loss_names(self) -> tuple[str, ...]:
        """Names of the student's own losses and measures, as its ``forward_train`` gives them."""

    def unsup_loss_names(self) -> tuple[str, ...]:
        """Names of :meth:`unsupervised_losses`: those of the labeled images, unless a method has losses of its own."""
        return self.loss_names()

    def figures(self, labels: Any) -> dict[str, Tensor]:
        """Scalars to log about the pseudo labels of :meth:`project_pseudo_labels`; none by default."""
        return {}

    def zero_figures(self) -> dict[str, Tensor]:
        """The keys of :meth:`figures`, with zeros, when there is no unlabeled image."""
        return {}

    def zero_losses(self, names: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        """Zero for every loss name, with a gradient (of zero) for every parameter, so that no rank waits in DDP.

        Args:
            names: None: :meth:`loss_names`.
        """
        zero = sum(p.sum() for p in self.student.parameters() if p.requires_grad) * 0
        names = self.loss_names() if names is None else names
        return {name: zero if 'loss' in name else zero.detach() for name in names}

    def count_images(self, data: dict[str, Batch]) -> int:
        """Labeled and unlabeled images, each once."""
        return sum(len(batch['img_metas']) for name, batch in data.items() if name != 'unsup_teacher')


def weighted(losses: dict[str, Tensor], weight: float, prefix: str) -> dict[str, Tensor]:
    """Losses times ``weight``; measures such as ``acc`` as they are; all names behind ``prefix``."""
    return {prefix + name: value * weight if 'loss' in name else value for name, value in losses.items()}
