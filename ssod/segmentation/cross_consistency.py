"""Cross-Consistency Training (Ouali et al., CVPR 2020): predictions from perturbed features follow the main one."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from mmseg.models import SEGMENTORS, EncoderDecoder
from torch import Tensor, nn
from torch.nn import functional as F

from ssod.core import Batch, SemiTrainCfg, check_choice
from ssod.core.settings import check_weight

from .base import SemiSegmentor
from .maps import IGNORE, supervised_pass, upsampled
from .perturbations import (
    CONSISTENCY,
    add_noise,
    adversarial,
    drop_active,
    guided_cutout,
    mask_context,
    mask_objects,
    ramp_up,
)

KINDS = ('f_drop', 'f_noise', 'dropout', 'g_cutout', 'con_msk', 'obj_msk', 'i_vat')
GUIDED = ('g_cutout', 'con_msk', 'obj_msk')


def all_kinds() -> dict[str, int]:
    """The authors' auxiliary decoders, 30 of them."""
    return dict(f_drop=6, f_noise=6, dropout=6, g_cutout=6, con_msk=2, obj_msk=2, i_vat=2)


@dataclass
class CrossConsistencyCfg(SemiTrainCfg):
    """``semi_train_cfg`` of CCT; ``unsup_weight`` is reached at the end of the ramp (the authors' 30).

    Attributes:
        decoders: how many auxiliary decoders of each kind.
        decoder: 'subpixel' (the authors': three pixel shuffles, never negative) or 'linear' (a 1x1 convolution).
        ramp: iterations of the ramp; the authors have a tenth of the epochs.
        consistency: 'mse' or 'kl'.
        background: class that Con-Msk, Obj-Msk and G-Cutout take for no object; None: there is none (Cityscapes), and
            these three are not used.
        xi, eps: of I-VAT; the authors have 1e-6 and 2.
        anneal: iterations over which the supervised loss comes to see labels that are easy already: pixels count whose
            label has a probability below a threshold that grows from 1 / C to 0.9; 0: cross entropy of all.
    """

    unsup_weight: float = 30.0
    decoders: dict[str, int] = field(default_factory=all_kinds)
    decoder: str = 'subpixel'
    ramp: int = 0
    consistency: str = 'mse'
    background: int | None = 0
    xi: float = 0.1
    eps: float = 2.0
    anneal: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice('semi_train_cfg.consistency', self.consistency, tuple(CONSISTENCY))
        check_choice('semi_train_cfg.decoder', self.decoder, ('subpixel', 'linear'))
        for name in ('xi', 'eps', 'ramp', 'anneal'):
            check_weight(f'semi_train_cfg.{name}', getattr(self, name))
        for kind, count in self.decoders.items():
            check_choice('a kind of semi_train_cfg.decoders', kind, KINDS)
            if self.background is None and kind in GUIDED and count:
                raise ValueError(f'semi_train_cfg.decoders.{kind} needs a background class: set it to 0 without one')
        if sum(self.decoders.values()) < 1:
            raise ValueError('semi_train_cfg.decoders has no decoder')


class SubPixel(nn.Sequential):
    """1x1 convolution to classes, then (1x1 to four times, ReLU, pixel shuffle 2) until ``factor`` is reached."""

    def __init__(self, channels: int, classes: int, factor: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(channels, classes, 1, bias=False)]
        nn.init.kaiming_normal_(layers[0].weight, nonlinearity='relu')
        for _ in range(factor.bit_length() - 1):
            up = nn.Conv2d(classes, 4 * classes, 1)
            with torch.no_grad():  # ICNR: the four pixels of a shuffle start equal
                up.weight.copy_(nn.init.kaiming_normal_(up.weight[:classes].clone()).repeat_interleave(4, dim=0))
            layers += [up, nn.ReLU(), nn.PixelShuffle(2)]
        super().__init__(*layers)


@SEGMENTORS.register_module()
class CrossConsistency(SemiSegmentor):
    """A student whose auxiliary decoders see perturbed features of unlabeled images and follow the main prediction.

    Features are what the decode head classifies, before its dropout. The auxiliary decoders (``student.perturbed``) are
    for training alone. ``unsup_student`` is weakly augmented; the teacher, an average, teaches nothing.
    ``semi_train_cfg`` takes the keys of :class:`CrossConsistencyCfg`.
    """

    Settings = CrossConsistencyCfg

    def __init__(self, segmentor: dict, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        self.iteration = 0
        for model in (self.student, self.teacher):
            model.perturbed = self.auxiliary_decoders(model)
        self.teacher.requires_grad_(False)

    def auxiliary_decoders(self, model: EncoderDecoder) -> nn.ModuleList:
        """One for each perturbation, in the order of ``kinds``."""
        channels, classes = model.decode_head.channels, model.out_channels
        if self.semi_train_cfg.decoder == 'subpixel':
            return nn.ModuleList(SubPixel(channels, classes, 8) for _ in self.kinds)
        return nn.ModuleList(nn.Conv2d(channels, classes, 1) for _ in self.kinds)

    @property
    def kinds(self) -> list[str]:
        """The perturbation of each auxiliary decoder."""
        return [kind for kind, count in self.semi_train_cfg.decoders.items() for _ in range(count)]

    def update_teacher(self, iteration: int) -> float | None:
        """Also notes how far the training is, for the ramp."""
        self.iteration = iteration
        return super().update_teacher(iteration)

    def supervised_losses(self, batch: Batch) -> dict[str, Tensor]:
        """The student's own; annealed, if ``anneal`` says so."""
        if not self.semi_train_cfg.anneal:
            return super().supervised_losses(batch)
        losses, logits = supervised_pass(self.student, batch)
        labels, start = batch['gt_semantic_seg'][:, 0], 1 / self.out_channels
        grown = 1 - math.exp(-5 * min(self.iteration / self.semi_train_cfg.anneal, 1))
        losses['decode.loss_ce'] = easy_left_out(logits, labels, start + (0.9 - start) * grown)
        return {name: value.mean() for name, value in losses.items()}

    def find_pseudo_labels(self, teacher_batch: None) -> None:
        """Nothing: the student teaches itself."""

    def project_pseudo_labels(self, found: None, student_batch: Batch) -> tuple[Tensor, Tensor]:
        """Features of the images, and the main prediction from them, without gradient, (N, C, H, W)."""
        feats = self.student.extract_feat(student_batch['img'])
        z: list[Tensor] = []
        head = self.student.decode_head
        classifier = head.conv_seg if head.dropout is None else head.dropout
        handle = classifier.register_forward_pre_hook(lambda module, args: z.append(args[0]))
        try:
            main = upsampled(self.student, feats, student_batch['img'].shape[2:])
        finally:
            handle.remove()
        return z[0], main.detach()

    def unsupervised_losses(self, student_batch: Batch, labels: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """The mean distance of the auxiliary predictions from the main one, times the ramp."""
        z, main = labels
        cfg, distance = self.semi_train_cfg, CONSISTENCY[self.semi_train_cfg.consistency]
        total = 0
        for kind, decoder in zip(self.kinds, self.student.perturbed, strict=True):
            logits = decoder(self.perturb(kind, z, main, decoder))
            logits = F.interpolate(logits, main.shape[2:], mode='bilinear', align_corners=self.align_corners)
            total = total + distance(logits, main)
        ramp = ramp_up(self.iteration, cfg.ramp)
        return dict(loss_seg=ramp * total / len(self.kinds))

    def perturb(self, kind: str, z: Tensor, main: Tensor, decoder: Callable[[Tensor], Tensor]) -> Tensor:
        """Features after one of the perturbations."""
        cfg = self.semi_train_cfg
        if kind == 'i_vat':
            return z + adversarial(z, decoder, cfg.xi, cfg.eps)
        if kind in GUIDED:
            guided = dict(g_cutout=guided_cutout, con_msk=mask_context, obj_msk=mask_objects)
            return guided[kind](z, main, cfg.background)
        return dict(f_drop=drop_active, f_noise=add_noise, dropout=F.dropout2d)[kind](z)


def easy_left_out(logits: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Mean cross entropy over the valid pixels whose label has a probability below ``threshold``; 0 without one.

    The annealed bootstrapped cross entropy of CCT, which keeps at least one pixel of each image.
    """
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction='none')
    valid = labels != IGNORE
    if not valid.any():
        return losses.sum()
    probability = (-losses[valid].detach()).exp()
    least = min(len(labels), len(probability) - 1)
    threshold = max(threshold, probability.sort().values[least].item())
    kept = losses[valid][probability < threshold]
    return kept.mean() if len(kept) else losses.sum() * 0
