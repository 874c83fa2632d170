"""Simple Baseline: strong augmentation, DSBN and the self-correction loss on pseudo labels from files.

Yuan et al., A Simple Baseline for Semi-supervised Semantic Segmentation with Strong Data Augmentation, ICCV 2021.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from mmseg.models import SEGMENTORS
from mmseg.models.losses import accuracy
from torch import Tensor, nn

from ssod.core import Batch, SemiTrainCfg, check_choice
from ssod.core.model import weighted
from ssod.core.settings import check_weight

from .base import SemiSegmentor
from .dsbn import convert, plain, weak_images
from .l2_sp import L2SP
from .losses import cross_entropy_over_valid, self_correction_loss
from .maps import IGNORE, joined, logits_of


@dataclass
class SimpleBaselineCfg(SemiTrainCfg):
    """``semi_train_cfg`` of Simple Baseline.

    Attributes:
        dsbn: every BatchNorm has statistics and weights for the weak and for the strong views.
        self_correction: False: plain cross entropy on pseudo labels too.
        alpha, beta, weighted, order, mix_images, over, sure: of
            :func:`ssod.segmentation.losses.self_correction_loss`.
        l2_sp: weight of the distance to the starting checkpoint (the authors' option has 1e-4); 0: none. The
            optimizer's weight decay is to be 0 with it.
        l2_sp_checkpoint: that checkpoint, one of the same network.
    """

    dsbn: bool = True
    self_correction: bool = True
    alpha: float = 1.0
    beta: float = 1.0
    weighted: bool = True
    order: str = 'code'
    mix_images: bool = False
    over: str = 'all'
    sure: float | None = None
    l2_sp: float = 0.0
    l2_sp_checkpoint: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice('semi_train_cfg.order', self.order, ('code', 'paper'))
        check_choice('semi_train_cfg.over', self.over, ('all', 'valid'))
        for name in ('alpha', 'beta', 'l2_sp'):
            check_weight(f'semi_train_cfg.{name}', getattr(self, name))
        if (self.l2_sp > 0) != (self.l2_sp_checkpoint is not None):
            raise ValueError('semi_train_cfg.l2_sp and l2_sp_checkpoint belong together: set both, or neither')


@SEGMENTORS.register_module()
class SimpleBaseline(SemiSegmentor):
    """A student that learns from labeled images and from images that another model has labeled.

    ``sup`` is the weak half of a batch, ``unsup_student`` the strong half; both go through the student together. By
    source: labeled images are weak and pseudo-labeled ones strong. As a union (the authors' code): both halves draw
    from all images, and ``pseudo`` in ``img_metas`` says which labels are those of a model.

    The teacher teaches nothing here: it is the student's average, evaluated beside the student.
    ``semi_train_cfg`` takes the keys of :class:`SimpleBaselineCfg`.

    Raises:
        ValueError: an auxiliary head, which would not be trained.
    """

    Settings = SimpleBaselineCfg

    def __init__(self, segmentor: dict, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        if self.student.with_auxiliary_head:
            raise ValueError('SimpleBaseline trains no auxiliary head: set model.segmentor.auxiliary_head=None')
        cfg = self.semi_train_cfg
        if cfg.dsbn:
            self.student: nn.Module = convert(self.student)
            self.teacher: nn.Module = convert(self.teacher)
        self.l2_sp = L2SP(self.student, cfg.l2_sp_checkpoint, cfg.l2_sp) if cfg.l2_sp else None

    def init_weights(self) -> None:
        """Initialize (or load) the student's weights, for both halves of DSBN alike, and copy them to the teacher."""
        with plain(self.student):
            super().init_weights()

    def forward_train(
        self, sup: Batch | None = None, unsup_teacher: None = None, unsup_student: Batch | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch: cross entropy on true labels, self-correction on pseudo labels.

        Args:
            sup: the weakly augmented images, with ``gt_semantic_seg``; or None.
            unsup_teacher: None: the labels come with the images.
            unsup_student: the strongly augmented images, with ``gt_semantic_seg``; or None.

        Returns:
            ``sup_loss_ce``, ``unsup_loss_seg``, ``sup_acc_seg`` (percent), ``num_pseudo`` images, ``pseudo_agreement``
            (percent of the pseudo-labeled pixels where the student says the same).
        """
        views = [self.preprocess(view) for view in (sup, unsup_student if self.unsup_weight > 0 else None) if view]
        # A half of DSBN without images has no gradient of its own, which DDP would wait for.
        zero = next(iter(self.zero_losses(('loss',)).values()))
        losses = self.joint_losses(views, len(sup['img_metas']) if sup else 0) if views else {}
        figures = {name: losses.get(name, zero.detach()) for name in ('sup_acc_seg', 'num_pseudo', 'pseudo_agreement')}
        supervised = dict(loss_ce=losses.get('loss_ce', 0) + zero)
        unsupervised = dict(loss_seg=losses.get('loss_seg', 0) + zero)
        penalty = {} if self.l2_sp is None else dict(loss_l2_sp=self.l2_sp(self.student))
        return {
            **weighted(supervised, self.sup_weight * self.sup_share, 'sup_'),
            **weighted(unsupervised, self.unsup_weight * self.unsup_share, 'unsup_'),
            **figures,
            **penalty,
        }

    def joint_losses(self, views: list[Batch], weak: int) -> dict[str, Tensor]:
        """Losses and figures of weak and strong views that go through the student together, unweighted.

        Args:
            views: one or two, prepared.
            weak: images of the first that are weakly augmented.
        """
        images = joined([view['img'] for view in views], 0)
        labels = joined([self.project_pseudo_labels(None, view) for view in views], IGNORE)
        pseudo = [meta.get('pseudo', False) for view in views for meta in view['img_metas']]
        pseudo = torch.tensor(pseudo, dtype=torch.bool, device=images.device)
        with weak_images(self.student, weak) if self.semi_train_cfg.dsbn else nullcontext():
            logits = logits_of(self.student, images)
        return dict(
            loss_ce=cross_entropy_over_valid(logits[~pseudo], labels[~pseudo]),
            **self.unsupervised_losses(dict(logits=logits[pseudo]), labels[pseudo]),
            sup_acc_seg=agreement(logits[~pseudo], labels[~pseudo]),
            num_pseudo=pseudo.sum().float(),
            pseudo_agreement=agreement(logits[pseudo], labels[pseudo]),
        )

    def find_pseudo_labels(self, teacher_batch: None) -> None:
        """Nothing: the pseudo labels came with the images."""

    def project_pseudo_labels(self, found: None, student_batch: Batch) -> Tensor:
        """(N, H, W) label maps of a view: its ops moved them along.

        Raises:
            ValueError: it has none.
        """
        if 'gt_semantic_seg' not in student_batch:
            raise ValueError(
                'SimpleBaseline learns from label maps in both branches: load them (LoadAnnotations) and give '
                "Collect(keys=['img', 'gt_semantic_seg']); unlabeled images get theirs from tools/pseudo_label.py"
            )
        return student_batch['gt_semantic_seg'][:, 0]

    def unsupervised_losses(self, student_batch: Batch, labels: Tensor) -> dict[str, Tensor]:
        """The loss on pseudo-labeled images: ``logits`` (N, C, H, W) of the batch, labels (N, H, W); N may be 0."""
        cfg, logits = self.semi_train_cfg, student_batch['logits']
        if not cfg.self_correction:
            return dict(loss_seg=cross_entropy_over_valid(logits, labels))
        settings = dict(alpha=cfg.alpha, beta=cfg.beta, weighted=cfg.weighted, order=cfg.order, sure=cfg.sure)
        pseudo = torch.ones(len(logits), dtype=torch.bool)
        return dict(
            loss_seg=self_correction_loss(logits, labels, pseudo, mix_images=cfg.mix_images, over=cfg.over, **settings)
        )


@torch.no_grad()
def agreement(logits: Tensor, labels: Tensor) -> Tensor:
    """Percent of the valid pixels whose label is the likeliest class; 0 without a pixel."""
    if not (labels != IGNORE).any():
        return logits.new_zeros(())
    return accuracy(logits, labels, ignore_index=IGNORE).reshape(())
