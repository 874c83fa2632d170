"""A student, its teacher, and the loss of a batch that is partly labeled, whatever the task."""

import warnings
from abc import abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from mmcv.runner import BaseModule
from torch import Tensor, nn

from ssod.data.preprocessing import normalized

from .ema import EMA, paired_tensors, update_teacher
from .settings import check_choice, check_weight, parse_settings
from .views import Batch, in_order_of


@dataclass
class SemiTrainCfg:
    """The keys of ``semi_train_cfg`` that every method has.

    Attributes:
        sup_weight: weight of the labeled images' losses.
        unsup_weight: weight of the unlabeled images' losses.
        ema: how the teacher follows the student, the keys of :class:`ssod.core.EMA`.
    """

    sup_weight: float = 1.0
    unsup_weight: float = 1.0
    ema: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_weight('semi_train_cfg.sup_weight', self.sup_weight)
        check_weight('semi_train_cfg.unsup_weight', self.unsup_weight)
        self.ema = parse_settings(EMA, self.ema, 'semi_train_cfg.ema')


@dataclass
class SemiTestCfg:
    """The keys of ``semi_test_cfg``.

    Attributes:
        predict_on: 'student' or 'teacher': which model inference uses.
    """

    predict_on: str = 'student'


# Names of the same settings in the authors' code and in MMDetection 3.
TEST_HINTS = {
    'inference_on': 'predict_on',
    'forward_on': "predict_on, which says it for all of inference: 'student' or 'teacher'",
    'extract_feat_on': "predict_on, which says it for all of inference: 'student' or 'teacher'",
}
TRAIN_HINTS = {
    'momentum': 'ema=dict(momentum=...)',
    'freeze_teacher': 'nothing: the teacher has no gradient, ever',
}


class SemiModel(BaseModule):
    """Holds a student and a teacher of the same architecture; a subclass says what unlabeled images teach.

    The teacher is an exponential moving average of the student: in eval mode and without gradient always. Checkpoints
    hold ``student.*`` and ``teacher.*``; the checkpoint of one model alone fills both.

    A task's base class says how a model is built and how it predicts (:class:`ssod.detection.SemiBaseDetector`). A
    method says what happens in the four acts of :meth:`forward_train`.

    Args:
        detector: config of the model that is trained, with its own ``train_cfg`` and ``test_cfg``.
        semi_train_cfg: the keys of ``Settings``, a :class:`SemiTrainCfg`.
        semi_test_cfg: the keys of :class:`SemiTestCfg`.
        init_cfg, train_cfg, test_cfg, pretrained: passed by MMDetection's ``build_detector`` and ``init_detector``;
            they must be None, for the detector has its own.

    Raises:
        ValueError: a key or value that is not known, or one of MMDetection's own that is not None.
    """

    # What `semi_train_cfg` may say, and what to write for names that other projects have for it.
    Settings: type[SemiTrainCfg] = SemiTrainCfg
    hints: dict[str, str] = {}

    def __init__(
        self,
        detector: dict,
        semi_train_cfg: dict | None = None,
        semi_test_cfg: dict | None = None,
        init_cfg: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        pretrained: str | None = None,
    ) -> None:
        super().__init__(init_cfg)
        of_detector = dict(init_cfg=init_cfg, train_cfg=train_cfg, test_cfg=test_cfg, pretrained=pretrained)
        if misplaced := [name for name, value in of_detector.items() if value is not None]:
            raise ValueError(f'{misplaced[0]} belongs to the detector: write model.detector.{misplaced[0]}')
        self.semi_train_cfg = parse_settings(
            self.Settings, semi_train_cfg, 'semi_train_cfg', {**TRAIN_HINTS, **self.hints}
        )
        test = parse_settings(SemiTestCfg, semi_test_cfg, 'semi_test_cfg', TEST_HINTS)
        self.student = self.build_model(detector)
        self.teacher = self.build_model(detector).requires_grad_(False)
        self.sup_weight = self.semi_train_cfg.sup_weight
        self.unsup_weight = self.semi_train_cfg.unsup_weight
        self.ema: EMA = self.semi_train_cfg.ema
        self._pairs: list[tuple[Tensor, Tensor]] | None = None
        self.predict_on = test.predict_on
        self.train(self.training)

    # ------------------------------------------------------------------------------------------ two models

    @staticmethod
    @abstractmethod
    def build_model(cfg: dict) -> nn.Module:
        """The student, or the teacher, from the config of the detector or segmentor: the task's builder."""

    @property
    def predict_on(self) -> str:
        """'student' or 'teacher': which model inference uses."""
        return self._predict_on

    @predict_on.setter
    def predict_on(self, name: str) -> None:
        check_choice('predict_on', name, ('student', 'teacher'))
        self._predict_on = name

    @property
    def predictor(self) -> nn.Module:
        """The model that inference uses."""
        return getattr(self, self.predict_on)

    def init_weights(self) -> None:
        """Initialize (or load) the student's weights once, and copy them to the teacher."""
        self.student.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> 'SemiModel':
        """Set the student's mode; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def update_teacher(self, iteration: int) -> float | None:
        """Move the teacher towards the student, as ``ema`` says; the training calls it before each iteration.

        Returns:
            The momentum, or None in an iteration without an update.
        """
        if iteration % self.ema.interval:
            return None
        if self._pairs is None:
            self._pairs = paired_tensors(self.student, self.teacher)
        momentum = self.ema.momentum_at(iteration)
        update_teacher(self._pairs, momentum, everything=iteration == 0)
        return momentum

    def _apply(self, *args: Any, **kwargs: Any) -> nn.Module:
        self._pairs = None  # moving to another device makes new tensors
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Fill student and teacher from one model's weights, or from whichever of the two there is."""
        if prefix == '':
            fill_both(state_dict)
        super()._load_from_state_dict(state_dict, prefix, *args)

    # ------------------------------------------------------------------------------------------ training

    def forward(self, img: Any = None, img_metas: Any = None, return_loss: bool = True, **kwargs: Any) -> Any:
        """Losses of the branches in ``kwargs`` (``return_loss``), or the predictions for ``img``."""
        if return_loss:
            return self.forward_train(**kwargs)
        return self.forward_test(img, img_metas, **kwargs)

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
            supervised = self.supervised_losses(self.preprocess(sup))
        else:
            supervised = self.zero_losses()
        if unsup_student and self.unsup_weight > 0:
            student_batch = self.preprocess(unsup_student)
            teacher_batch = unsup_teacher and in_order_of(self.preprocess(unsup_teacher), student_batch['img_metas'])
            found = self.find_pseudo_labels(teacher_batch)
            labels = self.project_pseudo_labels(found, student_batch)
            unsupervised = self.unsupervised_losses(student_batch, labels)
            figures = self.figures(labels)
        else:
            unsupervised, figures = self.zero_losses(), self.zero_figures()
        return {
            **weighted(supervised, self.sup_weight, 'sup_'),
            **weighted(unsupervised, self.unsup_weight, 'unsup_'),
            **figures,
        }

    def preprocess(self, batch: Batch) -> Batch:
        """One branch with ``img`` as (B, 3, H, W) float, normalized and padded; see :func:`ssod.data.normalized`.

        Raises:
            TypeError: ``img`` is not a batch of images.
        """
        batch = normalized(batch, next(self.student.parameters()).device)
        if not isinstance(batch['img'], Tensor) or not batch['img'].is_floating_point():
            kind = getattr(batch['img'], 'dtype', type(batch['img']).__name__)
            raise TypeError(f'img is {kind}: end the view with NormalizeOnDevice, or Normalize and DefaultFormatBundle')
        return batch

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Act 1: the student's ordinary losses on the labeled images, summed over feature levels."""
        losses = reduced(self.student.forward_train(**batch))
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
        """Act 4: the student's losses on the strong view, unweighted, under the names of :meth:`loss_names`."""

    @abstractmethod
    def loss_names(self) -> tuple[str, ...]:
        """Names of the student's own losses and measures, as its ``forward_train`` gives them."""

    def figures(self, labels: Any) -> dict[str, Tensor]:
        """Scalars to log about the pseudo labels of :meth:`project_pseudo_labels`; none by default."""
        return {}

    def zero_figures(self) -> dict[str, Tensor]:
        """The keys of :meth:`figures`, with zeros, when there is no unlabeled image."""
        return {}

    def zero_losses(self) -> dict[str, Tensor]:
        """Zero for every loss name, with a gradient (of zero) for every parameter, so that no rank waits in DDP."""
        zero = sum(p.sum() for p in self.student.parameters() if p.requires_grad) * 0
        return {name: zero if 'loss' in name else zero.detach() for name in self.loss_names()}

    def train_step(self, data: dict[str, Batch], optimizer: Any = None) -> dict[str, Any]:
        """Losses of one batch for the runner: ``loss`` to differentiate, ``log_vars``, ``num_samples`` images."""
        loss, log_vars = self._parse_losses(self(**data))
        num_samples = sum(len(batch['img_metas']) for name, batch in data.items() if name != 'unsup_teacher')
        return dict(loss=loss, log_vars=log_vars, num_samples=num_samples)

    def val_step(self, data: dict[str, Batch], optimizer: Any = None) -> dict[str, Any]:
        """As :meth:`train_step`."""
        return self.train_step(data)

    def _parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, OrderedDict]:
        """Sum the losses; average what is logged over the ranks with one reduction and one copy from the device."""
        loss = sum(value for name, value in losses.items() if 'loss' in name)
        names = [*losses, 'loss']
        values = torch.stack([value.detach().float().reshape(()) for value in (*losses.values(), loss)])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(values.div_(dist.get_world_size()))
        return loss, OrderedDict(zip(names, values.tolist(), strict=True))


def fill_both(state_dict: dict[str, Tensor]) -> None:
    """Complete, in place, weights that hold only one model to ``student.*`` and ``teacher.*``."""
    halves = [half for half in ('student', 'teacher') if any(key.startswith(f'{half}.') for key in state_dict)]
    if len(halves) == 2:
        return
    if halves:
        warnings.warn(f'the checkpoint holds a {halves[0]} alone: its weights fill student and teacher', stacklevel=2)
    for key in list(state_dict):
        name = key.removeprefix(f'{halves[0]}.') if halves else key
        value = state_dict.pop(key)
        state_dict[f'student.{name}'] = state_dict[f'teacher.{name}'] = value


def reduced(losses: dict[str, Tensor | list[Tensor]]) -> dict[str, Tensor]:
    """A model's losses as one scalar each: lists, with one entry per feature level, are summed."""
    return {
        name: sum(level.mean() for level in value) if isinstance(value, list) else value.mean()
        for name, value in losses.items()
    }


def weighted(losses: dict[str, Tensor], weight: float, prefix: str) -> dict[str, Tensor]:
    """Losses times ``weight``; measures such as ``acc`` as they are; all names behind ``prefix``."""
    return {prefix + name: value * weight if 'loss' in name else value for name, value in losses.items()}
