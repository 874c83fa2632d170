"""Cross Pseudo Supervision (Chen et al., CVPR 2021): two networks that teach each other, with and without CutMix."""

from dataclasses import dataclass
from typing import Any

import torch
from mmseg.models import SEGMENTORS
from torch import Tensor
from torch.nn import functional as F

from ssod.core import Batch, SemiTrainCfg, check_choice, in_order_of
from ssod.core.model import weighted
from ssod.core.teacher_student import SemiTestCfg, reduced

from .base import SemiSegmentor, thinned
from .cutmix import box_masks, mixed, partners
from .losses import cross_pseudo_loss
from .maps import logits_of, loss_names, supervised_pass
from .twin import NETWORKS, TwinSegmentor


@dataclass
class CrossPseudoCfg(SemiTrainCfg):
    """``semi_train_cfg`` of Cross Pseudo Supervision; ``unsup_weight`` is the paper's lambda.

    Attributes:
        cutmix: cross supervision of mixed unlabeled images alone; else of labeled and unlabeled ones as they are.
        same_image: what is mixed in is ``unsup_teacher``, another view of the same image, as in every run of the
            authors' code on several GPUs; else another image of the batch.
    """

    cutmix: bool = True
    same_image: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.same_image and not self.cutmix:
            raise ValueError('semi_train_cfg.same_image says what CutMix mixes in: without cutmix it has no effect')


@dataclass
class CrossPseudoTestCfg(SemiTestCfg):
    """``semi_test_cfg`` of Cross Pseudo Supervision.

    Attributes:
        network: 'first' (the authors'), 'second', or 'mean': whose prediction it is.
    """

    network: str = 'first'

    def __post_init__(self) -> None:
        check_choice('semi_test_cfg.network', self.network, NETWORKS)


@SEGMENTORS.register_module()
class CrossPseudoSupervision(SemiSegmentor):
    """Two networks, differently initialized, each of which learns the other's hard labels.

    The student is both (``student.first.*``, ``student.second.*``), trained by one optimizer, which is as good as one
    for each: SGD and Adam treat every weight for itself. The teacher, their average, teaches nothing.
    Images of ``unsup_student`` are weakly augmented. ``semi_train_cfg`` takes the keys of :class:`CrossPseudoCfg`.
    """

    Settings = CrossPseudoCfg
    TestSettings = CrossPseudoTestCfg

    def __init__(self, segmentor: dict, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        for model in (self.student, self.teacher):
            model.network = self.semi_test_cfg.network

    @classmethod
    def build_model(cls, cfg: dict) -> TwinSegmentor:
        """The student, or its average: two networks."""
        return TwinSegmentor(cls.build_network(cfg), cls.build_network(cfg))

    def loss_names(self) -> tuple[str, ...]:
        """Of the labeled images: those of both networks."""
        names = loss_names(self.student.first)
        return tuple(f'{network}.{name}' for network in ('first', 'second') for name in names)

    def forward_train(
        self, sup: Batch | None = None, unsup_teacher: Batch | None = None, unsup_student: Batch | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch.

        Args:
            sup: the labeled images, or None.
            unsup_teacher: with ``same_image``, other views of the unlabeled images.
            unsup_student: the unlabeled images, or None.

        Returns:
            ``sup_first.*`` and ``sup_second.*``, ``unsup_loss_seg``, and ``network_agreement``, percent of the pixels
            where both say the same.
        """
        batch = self.preprocess(sup) if sup else None
        student_batch = self.preprocess(unsup_student) if unsup_student and self.unsup_weight > 0 else None
        losses, logits = self.zero_losses(), []
        if batch:
            self.count_classes(batch)
            passes = {name: supervised_pass(network, batch) for name, network in self.student.networks.items()}
            losses = {f'{name}.{k}': v for name, (own, _) in passes.items() for k, v in reduced(own).items()}
            logits.append(tuple(out for _, out in passes.values()))
        cross = self.zero_losses(('loss_seg', 'agreement'))
        if self.semi_train_cfg.cutmix and student_batch:
            found = self.find_pseudo_labels(student_batch)
            self.count_classes(labels=found)
            cross = self.unsupervised_losses(*self.mix(student_batch, found, unsup_teacher))
        elif not self.semi_train_cfg.cutmix and self.unsup_weight > 0:
            if student_batch:
                logits.append(
                    tuple(logits_of(network, student_batch['img']) for network in self.student.networks.values())
                )
            cross = joint_losses(logits) if logits else cross
        return {
            **weighted(losses, self.sup_weight * self.sup_share, 'sup_'),
            **weighted(dict(loss_seg=cross['loss_seg']), self.unsup_weight * self.unsup_share, 'unsup_'),
            'network_agreement': cross['agreement'],
        }

    @torch.no_grad()
    def find_pseudo_labels(self, teacher_batch: Batch) -> dict[str, Tensor]:
        """(N, H, W) label maps of each network, in training mode as the authors do."""
        return {name: logits_of(net, teacher_batch['img']).argmax(1) for name, net in self.student.networks.items()}

    def taught_classes(self, labels: dict[str, Tensor]) -> Tensor:
        """Of both networks, before they are mixed."""
        return thinned(torch.stack([labels['first'], labels['second']]))

    def surest_score(self, network: TwinSegmentor, batch: Batch) -> None:
        """None: the average teaches nothing."""

    def mix(
        self, student_batch: Batch, found: dict[str, Tensor], unsup_teacher: Batch | None
    ) -> tuple[Batch, dict[str, Tensor]]:
        """The mixed images, and each network's labels of them.

        Args:
            student_batch: the unlabeled images.
            found: labels of :meth:`find_pseudo_labels`.
            unsup_teacher: with ``same_image``, what is mixed in; else it is the next image of the batch.

        Raises:
            ValueError: ``same_image`` without these views.
        """
        img = student_batch['img']
        others, theirs = partners(img), {name: partners(value) for name, value in found.items()}
        if self.semi_train_cfg.same_image:
            if not unsup_teacher:
                raise ValueError('semi_train_cfg.same_image mixes in the branch unsup_teacher, which is not there')
            other = in_order_of(self.preprocess(unsup_teacher), student_batch['img_metas'])
            others, theirs = other['img'], self.find_pseudo_labels(other)
        masks = torch.from_numpy(box_masks(len(img), tuple(img.shape[-2:]))).to(img.device)
        labels = {name: mixed(value, theirs[name], masks) for name, value in found.items()}
        return {**student_batch, 'img': mixed(img, others, masks)}, labels

    def project_pseudo_labels(self, found: dict[str, Tensor], student_batch: Batch) -> dict[str, Tensor]:
        """The labels as they are: both networks see the same pixels."""
        return found

    def unsupervised_losses(self, student_batch: Batch, labels: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each network on the labels of the other, means over all pixels; and the percent on which they agree."""
        networks = self.student.networks
        first, second = (logits_of(network, student_batch['img']) for network in networks.values())
        loss = F.cross_entropy(first, labels['second']) + F.cross_entropy(second, labels['first'])
        return dict(loss_seg=loss, agreement=100 * (labels['first'] == labels['second']).float().mean())


def joint_losses(logits: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Cross supervision without mixing: the mean over all pixels, and the percent of them where both networks agree.

    Args:
        logits: of both networks, (N, C, H, W), on labeled and on unlabeled images, whose crops may differ in size.
    """
    pixels = [len(one) * one.shape[-1] * one.shape[-2] for one, _ in logits]
    total = sum(cross_pseudo_loss(*pair) * count for pair, count in zip(logits, pixels, strict=True))
    same = sum((one.argmax(1) == two.argmax(1)).sum() for one, two in logits)
    return dict(loss_seg=total / sum(pixels), agreement=100 * same / sum(pixels))
