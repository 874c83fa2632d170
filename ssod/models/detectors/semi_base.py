"""A student detector, its teacher, and the loss of a batch that is partly labelled."""

import warnings
from collections import OrderedDict
from typing import Any

import torch
import torch.distributed as dist
from mmdet.models import BaseDetector, build_detector
from torch import Tensor, nn

# What a branch of the batch is: an ordinary mmdet batch, `img`, `img_metas` and, labelled, `gt_bboxes`, `gt_labels`.
Batch = dict[str, Any]


class SemiBaseDetector(BaseDetector):
    """Holds a student and a teacher of the same architecture; a subclass says what unlabelled images teach.

    The teacher is an average of the student (see :class:`ssod.hooks.MeanTeacherHook`): in eval mode and without
    gradient always. Checkpoints hold ``student.*`` and ``teacher.*``; a plain detector's checkpoint fills both.

    Args:
        detector: config of the detector, with its own ``train_cfg`` and ``test_cfg``.
        semi_train_cfg: ``sup_weight`` (default 1.0) and ``unsup_weight`` (default 1.0), and what the subclass needs.
        semi_test_cfg: ``predict_on``, 'student' or 'teacher': who answers in inference.
        train_cfg, test_cfg: passed by the host's ``build_detector``; unused.

    Raises:
        ValueError: ``predict_on`` is neither.
    """

    def __init__(
        self,
        detector: dict,
        semi_train_cfg: dict | None = None,
        semi_test_cfg: dict | None = None,
        init_cfg: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.student = build_detector(detector)
        self.teacher = build_detector(detector).requires_grad_(False)
        self.semi_train_cfg = dict(semi_train_cfg or {})
        self.sup_weight = self.semi_train_cfg.get('sup_weight', 1.0)
        self.unsup_weight = self.semi_train_cfg.get('unsup_weight', 1.0)
        self.predict_on = (semi_test_cfg or {}).get('predict_on', 'student')
        self.train(self.training)

    @property
    def predict_on(self) -> str:
        """'student' or 'teacher': which model inference uses."""
        return self._predict_on

    @predict_on.setter
    def predict_on(self, name: str) -> None:
        if name not in ('student', 'teacher'):
            raise ValueError(f"predict_on must be 'student' or 'teacher', got {name!r}")
        self._predict_on = name

    @property
    def predictor(self) -> nn.Module:
        """The model that inference uses."""
        return getattr(self, self.predict_on)

    def init_weights(self) -> None:
        """Initialise (or load) the student's weights once, and copy them to the teacher."""
        self.student.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> 'SemiBaseDetector':
        """Set the student's mode; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, img: Any = None, img_metas: Any = None, return_loss: bool = True, **kwargs: Any) -> Any:
        """Losses of the branches in ``kwargs`` (``return_loss``), or the detections of ``img``."""
        if return_loss:
            return self.forward_train(**kwargs)
        return self.forward_test(img, img_metas, **kwargs)

    def forward_train(
        self, sup: Batch | None = None, unsup_teacher: Batch | None = None, unsup_student: Batch | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch: ``L = sup_weight * L_s + unsup_weight * L_u`` (section 3.1, equation 1).

        Args:
            sup: the labelled images, or None (a rank may have none).
            unsup_teacher, unsup_student: the weak and the strong view of the same unlabelled images, or None.

        Returns:
            The detector's losses behind ``sup_`` and ``unsup_``, weighted, and figures to log. The same keys whatever
            branches are there: a missing one gives zeros that are tied to the student's parameters.
        """
        if sup:
            supervised = self.supervised_losses(sup)
        else:
            supervised = self.zero_losses()
        if unsup_student and self.unsup_weight > 0:
            unsupervised, figures = self.unsupervised_losses(unsup_teacher, unsup_student)
        else:
            unsupervised, figures = self.zero_losses(), self.zero_figures()
        return {
            **weighted(supervised, self.sup_weight, 'sup_'),
            **weighted(unsupervised, self.unsup_weight, 'unsup_'),
            **figures,
        }

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """The student's ordinary losses, summed over feature levels."""
        losses = reduced(self.student.forward_train(**batch))
        if len(losses) < len(self.loss_names()):  # the host leaves out the RoI losses of a batch without a single RoI
            losses = {**self.zero_losses(), **losses}
        return losses

    def unsupervised_losses(self, teacher_batch: Batch, student_batch: Batch) -> tuple[dict, dict]:
        """Losses of the unlabelled images (the detector's names) and figures to log: the subclass's method."""
        raise TypeError(f'{type(self).__name__} does not say what unlabelled images teach')

    def loss_names(self) -> tuple[str, ...]:
        """Names of the detector's own losses and measures, as its ``forward_train`` gives them."""
        raise TypeError(f'{type(self).__name__} does not name its losses')

    def zero_figures(self) -> dict[str, Tensor]:
        """The figures of :meth:`unsupervised_losses` when there is no unlabelled image."""
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

    def extract_feat(self, img: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the model that inference uses."""
        return self.predictor.extract_feat(img)

    def simple_test(self, img: Tensor, img_metas: list[dict], **kwargs: Any) -> list:
        """Detections of a batch by the model that inference uses, in mmdet's result format."""
        return self.predictor.simple_test(img, img_metas, **kwargs)

    def aug_test(self, imgs: list[Tensor], img_metas: list[list[dict]], **kwargs: Any) -> list:
        """Detections with test-time augmentation by the model that inference uses."""
        return self.predictor.aug_test(imgs, img_metas, **kwargs)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Fill student and teacher from a plain detector's weights, or from whichever of the two there is."""
        if prefix == '':
            fill_both(state_dict)
        super()._load_from_state_dict(state_dict, prefix, *args)


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


def in_order_of(batch: Batch, img_metas: list[dict]) -> Batch:
    """``img`` and ``img_metas`` of ``batch`` in the order in which ``img_metas`` names the same files.

    A file that a batch holds twice is paired occurrence by occurrence.

    Raises:
        ValueError: the two views do not show the same files.
    """
    source = [meta['filename'] for meta in batch['img_metas']]
    target = [meta['filename'] for meta in img_metas]
    if source == target:
        return batch
    if sorted(source) != sorted(target):
        raise ValueError(f'unsup_teacher and unsup_student show different images: {source} and {target}')
    by_name = sorted(range(len(source)), key=source.__getitem__)
    order = [0] * len(target)
    for position, index in zip(sorted(range(len(target)), key=target.__getitem__), by_name, strict=True):
        order[position] = index
    index = torch.tensor(order, device=batch['img'].device)
    return dict(img=batch['img'][index], img_metas=[batch['img_metas'][i] for i in order])


def reduced(losses: dict[str, Tensor | list[Tensor]]) -> dict[str, Tensor]:
    """mmdet's losses as one scalar each: lists, one entry a feature level, are summed."""
    return {
        name: sum(level.mean() for level in value) if isinstance(value, list) else value.mean()
        for name, value in losses.items()
    }


def weighted(losses: dict[str, Tensor], weight: float, prefix: str) -> dict[str, Tensor]:
    """Losses times ``weight``; measures such as ``acc`` as they are; all names behind ``prefix``."""
    return {prefix + name: value * weight if 'loss' in name else value for name, value in losses.items()}
