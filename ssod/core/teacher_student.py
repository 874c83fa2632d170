"""A student, and a teacher that is its moving average: what every method here is built on."""

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
from .settings import check_choice, parse_settings
from .views import Batch


@dataclass
class TeacherStudentCfg:
    """The key of ``semi_train_cfg`` that every model with a teacher has.

    Attributes:
        ema: how the teacher follows the student, the keys of :class:`ssod.core.EMA`.
    """

    ema: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
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


class TeacherStudent(BaseModule):
    """Holds a student and a teacher of the same architecture; a subclass says what the student learns from.

    The teacher is an exponential moving average of the student: in eval mode and without gradient always. Checkpoints
    hold ``student.*`` and ``teacher.*``; the checkpoint of one model alone fills both.

    A task's base class says how a model is built and how it predicts (:class:`ssod.detection.SemiBaseDetector`).

    Args:
        detector: config of the model that is trained, with its own ``train_cfg`` and ``test_cfg``.
        semi_train_cfg: the keys of ``Settings``, a :class:`TeacherStudentCfg`.
        semi_test_cfg: the keys of :class:`SemiTestCfg`.
        init_cfg, train_cfg, test_cfg, pretrained: passed by MMDetection's ``build_detector`` and ``init_detector``;
            they must be None, for the detector has its own.

    Raises:
        ValueError: a key or value that is not known, or one of MMDetection's own that is not None.
    """

    # What `semi_train_cfg` and `semi_test_cfg` may say, and what to write for names that other projects have for it.
    Settings: type[TeacherStudentCfg] = TeacherStudentCfg
    TestSettings: type[SemiTestCfg] = SemiTestCfg
    hints: dict[str, str] = {}
    # What the config calls the model that is trained.
    part = 'detector'

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
            place = f'model.{self.part}.{misplaced[0]}'
            raise ValueError(f'{misplaced[0]} belongs to the {self.part}: write {place}')
        self.semi_train_cfg = parse_settings(
            self.Settings, semi_train_cfg, 'semi_train_cfg', {**TRAIN_HINTS, **self.hints}
        )
        test = parse_settings(self.TestSettings, semi_test_cfg, 'semi_test_cfg', TEST_HINTS)
        self.student = self.build_model(detector)
        self.teacher = self.build_model(detector).requires_grad_(False)
        self.ema: EMA = self.semi_train_cfg.ema
        self._pairs: list[tuple[Tensor, Tensor]] | None = None
        self.semi_test_cfg = test
        self.predict_on = test.predict_on
        self.train(self.training)

    @staticmethod
    @abstractmethod
    def build_model(cfg: dict) -> nn.Module:
        """The student, or the teacher, from the config of the detector or segmentor: the task's builder."""

    @property
    def predict_on(self) -> str:
        """'student' or 'teacher': which model inference uses; another name is a ValueError."""
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

    def train(self, mode: bool = True) -> 'TeacherStudent':
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

    def forward(self, img: Any = None, img_metas: Any = None, return_loss: bool = True, **kwargs: Any) -> Any:
        """Losses of what is in ``kwargs`` (``return_loss``), or the predictions for ``img``."""
        if return_loss:
            return self.forward_train(**kwargs)
        return self.forward_test(img, img_metas, **kwargs)

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

    def train_step(self, data: dict[str, Any], optimizer: Any = None) -> dict[str, Any]:
        """Losses of one batch for the runner: ``loss`` to differentiate, ``log_vars``, ``num_samples`` images."""
        loss, log_vars = self._parse_losses(self(**data))
        return dict(loss=loss, log_vars=log_vars, num_samples=self.count_images(data))

    def val_step(self, data: dict[str, Any], optimizer: Any = None) -> dict[str, Any]:
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

    @abstractmethod
    def count_images(self, data: dict[str, Any]) -> int:
        """Images in a training batch."""


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
