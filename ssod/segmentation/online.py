"""Labels made in the same step: Mean Teacher, FixMatch and UniMatch."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from mmseg.models import SEGMENTORS
from torch import Tensor
from torch.nn import functional as F

from ssod.core import Batch, SemiTrainCfg, check_choice, in_order_of

from .base import SemiSegmentor, check_same_pixels, need_weak_view, thinned
from .cutmix import mixed, one_box_masks, partners
from .maps import IGNORE, ignore_padding, logits_of, upsampled
from .perturbations import CONSISTENCY, ramp_up


class Target(NamedTuple):
    """What the student is to learn on N strong views.

    Attributes:
        labels: (N, H, W), 255 beyond the end of an image.
        confidence: (N, H, W) probability of the label.
    """

    labels: Tensor
    confidence: Tensor


@dataclass
class MeanTeacherCfg(SemiTrainCfg):
    """``semi_train_cfg`` of Mean Teacher; TorchSemiSeg's ``unsup_weight`` is 100, its momentum 0.99.

    Attributes:
        consistency: 'mse' or 'kl' of the probabilities.
        ramp: iterations over which the consistency's weight rises, as in CCT.
    """

    consistency: str = 'mse'
    ramp: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice('semi_train_cfg.consistency', self.consistency, tuple(CONSISTENCY))


@SEGMENTORS.register_module()
class MeanTeacherSegmentor(SemiSegmentor):
    """A student that follows the probabilities of its moving average (Tarvainen and Valpola, NeurIPS 2017).

    The teacher sees ``unsup_teacher``, the student ``unsup_student``, the same crop in other colors or in the same.
    ``semi_train_cfg`` takes the keys of :class:`MeanTeacherCfg`.
    """

    Settings = MeanTeacherCfg

    def __init__(self, segmentor: dict, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        self.iteration = 0

    def update_teacher(self, iteration: int) -> float | None:
        """Also notes how far the training is, for the ramp."""
        self.iteration = iteration
        return super().update_teacher(iteration)

    @torch.no_grad()
    def find_pseudo_labels(self, teacher_batch: Batch | None) -> Tensor:
        """(N, C, H, W) logits of the teacher."""
        need_weak_view(teacher_batch)
        return logits_of(self.teacher, teacher_batch['img'])

    def project_pseudo_labels(self, found: Tensor, student_batch: Batch) -> Tensor:
        """As they are: both views show the same pixels."""
        check_same_pixels(found, student_batch)
        return found

    def taught_classes(self, labels: Tensor) -> Tensor:
        """The likeliest of each pixel that is looked at."""
        return thinned(labels).argmax(dim=1)

    def unsupervised_losses(self, student_batch: Batch, labels: Tensor) -> dict[str, Tensor]:
        """The distance of the probabilities, a mean over all pixels and classes."""
        distance = CONSISTENCY[self.semi_train_cfg.consistency]
        ramp = ramp_up(self.iteration, self.semi_train_cfg.ramp)
        return dict(loss_seg=ramp * distance(logits_of(self.student, student_batch['img']), labels))


@dataclass
class FixMatchCfg(SemiTrainCfg):
    """``semi_train_cfg`` of FixMatch; UniMatch's code has 0.5 for both weights.

    Attributes:
        threshold: pixels with a confidence below it teach nothing (0.95 on VOC, 0 on Cityscapes).
        labels_from: 'teacher' (UniMatch V2) or 'student' (UniMatch's own code): who labels the weak view.
        cutmix_prob: that a strong view has a box of another image.
    """

    threshold: float = 0.95
    labels_from: str = 'teacher'
    cutmix_prob: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice('semi_train_cfg.labels_from', self.labels_from, ('teacher', 'student'))
        for name in ('threshold', 'cutmix_prob'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'semi_train_cfg.{name} is in [0, 1], got {getattr(self, name)}')


@SEGMENTORS.register_module()
class FixMatch(SemiSegmentor):
    """A student that learns, on strong views, the confident hard labels of the weak ones (Sohn et al., NeurIPS 2020).

    As UniMatch (Yang et al., CVPR 2023) has it for segmentation, with CutMix. The partner is another image.
    ``semi_train_cfg`` takes the keys of :class:`FixMatchCfg`.
    """

    Settings = FixMatchCfg

    @torch.no_grad()
    def find_pseudo_labels(self, teacher_batch: Batch | None) -> Tensor:
        """(N, C, H, W) logits on the weak views, by the teacher in eval mode or the student in training mode."""
        need_weak_view(teacher_batch)
        return logits_of(getattr(self, self.semi_train_cfg.labels_from), teacher_batch['img'])

    def project_pseudo_labels(self, found: Tensor, student_batch: Batch) -> Target:
        """The likeliest class of each pixel and its probability."""
        check_same_pixels(found, student_batch)
        confidence, labels = found.softmax(dim=1).max(dim=1)
        return Target(ignore_padding(labels, student_batch['img_metas']), confidence)

    def unsupervised_losses(self, student_batch: Batch, labels: Target) -> dict[str, Tensor]:
        """The loss on the strong views after CutMix."""
        img, target = self.mix(student_batch['img'], labels)
        return dict(loss_seg=self.confident_loss(logits_of(self.student, img), target))

    def mix(self, img: Tensor, target: Target) -> tuple[Tensor, Target]:
        """Strong views with a box of the next image of the batch, and what is to be learned of them."""
        masks = one_box_masks(len(img), tuple(img.shape[-2:]), self.semi_train_cfg.cutmix_prob)
        masks = torch.from_numpy(masks).to(img.device)
        return mixed(img, partners(img), masks), Target(*(mixed(value, partners(value), masks) for value in target))

    def confident_loss(self, logits: Tensor, target: Target) -> Tensor:
        """Cross entropy summed over the confident pixels, divided by the number of those within images."""
        losses = F.cross_entropy(logits, target.labels, ignore_index=IGNORE, reduction='none')
        confident = target.confidence >= self.semi_train_cfg.threshold
        return (losses * confident).sum() / (target.labels != IGNORE).sum().clamp(min=1)

    def taught_classes(self, labels: Target) -> Tensor:
        """Of the confident pixels that are looked at; the others are 255."""
        unsure = thinned(labels.confidence) < self.semi_train_cfg.threshold
        return thinned(labels.labels).masked_fill(unsure, IGNORE)

    def figures(self, labels: Target) -> dict[str, Tensor]:
        """``confident_share``: percent of the pixels that teach."""
        inside = labels.labels != IGNORE
        confident = (labels.confidence >= self.semi_train_cfg.threshold) & inside
        return dict(confident_share=100 * confident.sum() / inside.sum().clamp(min=1))

    def zero_figures(self) -> dict[str, Tensor]:
        """0 without an unlabeled image."""
        return dict(confident_share=next(self.student.parameters()).new_zeros(()))


@SEGMENTORS.register_module()
class UniMatch(FixMatch):
    """FixMatch with two strong views and a weak view whose features lose channels (Yang et al., CVPR 2023).

    The second strong view is the branch ``unsup_student_2``. The three losses count 0.25, 0.25 and 0.5.
    """

    def forward_train(
        self,
        sup: Batch | None = None,
        unsup_teacher: Batch | None = None,
        unsup_student: Batch | None = None,
        unsup_student_2: Batch | None = None,
    ) -> dict[str, Tensor]:
        """As FixMatch's; ``unsup_student_2`` is the second strong view of the images of ``unsup_student``."""
        if bool(unsup_student) != bool(unsup_student_2):
            raise ValueError('UniMatch needs two strong views, the branches unsup_student and unsup_student_2')
        self.views = (unsup_teacher, unsup_student_2)
        try:
            return super().forward_train(sup, unsup_teacher, unsup_student)
        finally:
            self.views = None

    def unsupervised_losses(self, student_batch: Batch, labels: Target) -> dict[str, Tensor]:
        """Both strong views, each with its own boxes, and the weak view with half of its channels."""
        weak, second = (in_order_of(self.preprocess(view), student_batch['img_metas']) for view in self.views)
        losses = []
        for img in (student_batch['img'], second['img']):
            img, target = self.mix(img, labels)
            losses.append(self.confident_loss(logits_of(self.student, img), target))
        feats = list(self.student.extract_feat(weak['img']))
        for place in {0, len(feats) - 1}:
            feats[place] = F.dropout2d(feats[place], 0.5)
        perturbed = self.confident_loss(upsampled(self.student, feats, weak['img'].shape[2:]), labels)
        return dict(loss_seg=0.25 * losses[0] + 0.25 * losses[1] + 0.5 * perturbed)

    def count_images(self, data: dict[str, Batch]) -> int:
        """Labeled and unlabeled images, each once."""
        return super().count_images({name: batch for name, batch in data.items() if name != 'unsup_student_2'})
