"""Student and teacher as a segmentor of MMSegmentation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmcv.cnn.utils import revert_sync_batchnorm
from mmseg.models import BaseSegmentor, CascadeEncoderDecoder, EncoderDecoder, build_segmentor
from torch import Tensor, nn

from ssod.core import Batch, SemiModel, TeacherStudent

from .maps import logits_of, loss_names


def build_model(cfg: dict) -> nn.Module:
    """MMSegmentation's ``build_segmentor``; without a GPU, where SyncBN does not work, with BatchNorm instead."""
    model = build_segmentor(cfg)
    return model if torch.cuda.is_available() else revert_sync_batchnorm(model)


@dataclass(frozen=True)
class ScoredMap:
    """What a segmentor says of an image.

    Attributes:
        labels: (H, W) int64 class of each pixel.
        scores: (H, W) float32 probability of that class.
    """

    labels: np.ndarray
    scores: np.ndarray


def scored_maps(probabilities: Tensor) -> list[ScoredMap]:
    """Of (N, C, H, W) class probabilities, N maps."""
    scores, labels = probabilities.max(dim=1)
    pairs = zip(labels.cpu().numpy(), scores.float().cpu().numpy(), strict=True)
    return [ScoredMap(*pair) for pair in pairs]


class TeacherStudentSegmentor(TeacherStudent, BaseSegmentor):
    """A student and its teacher as a segmentor.

    Inference is that of the student or the teacher, as ``predict_on`` says, in MMSegmentation's result format: a list
    of label maps.

    Args:
        segmentor: config of the ``EncoderDecoder`` that is trained, with its own ``train_cfg`` and ``test_cfg``.
        kwargs: those of :class:`ssod.core.TeacherStudent`.

    Attributes:
        with_scores: tests give the probability of each label too.

    Raises:
        TypeError: the segmentor is not an ``EncoderDecoder``, or a cascade.
    """

    part = 'segmentor'
    with_scores = False

    def __init__(self, segmentor: dict, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)

    @classmethod
    def build_model(cls, cfg: dict) -> nn.Module:
        """The student, or the teacher."""
        return cls.build_network(cfg)

    @classmethod
    def build_network(cls, cfg: dict) -> EncoderDecoder:
        """One network; see the class for what is refused."""
        model = build_model(cfg)
        if not isinstance(model, EncoderDecoder) or isinstance(model, CascadeEncoderDecoder):
            raise TypeError(f'{cls.__name__} trains an EncoderDecoder with one decode head, not {type(model).__name__}')
        return model

    @property
    def num_classes(self) -> int:
        """Classes that the decode head tells apart."""
        return self.student.num_classes

    @property
    def out_channels(self) -> int:
        """Channels of the logits."""
        return self.student.out_channels

    @property
    def align_corners(self) -> bool:
        """How logits are resized."""
        return self.student.align_corners

    def extract_feat(self, img: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the model that inference uses."""
        return self.predictor.extract_feat(img)

    def encode_decode(self, img: Tensor, img_metas: list[dict]) -> Tensor:
        """(N, C, H, W) logits of the model that inference uses."""
        return self.predictor.encode_decode(img, img_metas)

    def inference(self, img: Tensor, img_meta: list[dict], rescale: bool) -> Tensor:
        """(N, C, H, W) class probabilities by the model that inference uses."""
        return self.predictor.inference(img, img_meta, rescale)

    def simple_test(self, img: Tensor, img_metas: list[dict], **kwargs: Any) -> list:
        """Label maps of a batch by the model that inference uses; with ``with_scores``, each a :class:`ScoredMap`."""
        if self.with_scores:
            return scored_maps(self.inference(img, img_metas, True))
        return self.predictor.simple_test(img, img_metas, **kwargs)

    def aug_test(self, imgs: list[Tensor], img_metas: list[list[dict]], **kwargs: Any) -> list:
        """Label maps with test-time augmentation by the model that inference uses; see :meth:`simple_test`."""
        if self.with_scores:
            views = [self.inference(*view, True) for view in zip(imgs, img_metas, strict=True)]
            return scored_maps(torch.stack(views).mean(0))
        return self.predictor.aug_test(imgs, img_metas, **kwargs)


class SemiSegmentor(SemiModel, TeacherStudentSegmentor):
    """A segmentor whose student learns from partly labeled images: base of the methods for label maps.

    Batches have the branches ``sup`` (with ``gt_semantic_seg``, (N, 1, H, W) int64, 255 where ignored),
    ``unsup_teacher`` and ``unsup_student``. The two views of an unlabeled image show the same crop: their pipelines
    change colors alone, so that a pixel of one is that pixel of the other.
    """

    def loss_names(self) -> tuple[str, ...]:
        """Of the labeled images: those of the segmentor's own ``forward_train``."""
        return loss_names(self.student)

    def labeled_classes(self, batch: Batch) -> Tensor:
        """Of every eighth pixel of every eighth row."""
        return thinned(batch['gt_semantic_seg'])

    def surest_score(self, network: nn.Module, batch: Batch) -> float:
        """The mean over all pixels of the likeliest class's probability."""
        return float(logits_of(network, batch['img']).softmax(dim=1).amax(dim=1).mean())

    def unsup_loss_names(self) -> tuple[str, ...]:
        """Of the unlabeled images: one loss, under one name, whatever the method."""
        return ('loss_seg',)


def thinned(labels: Tensor) -> Tensor:
    """Every eighth pixel of every eighth row of label maps (..., H, W): enough to count classes."""
    return labels[..., ::8, ::8]


def need_weak_view(teacher_batch: Batch | None) -> None:
    """Refuse unlabeled images without their weak view.

    Raises:
        ValueError: there is none.
    """
    if not teacher_batch:
        raise ValueError('the method needs the branch unsup_teacher beside unsup_student, two views of each image')


def check_same_pixels(logits: Tensor, student_batch: Batch) -> None:
    """Refuse views that cannot show the same pixels.

    Args:
        logits: (N, C, H, W) of the weak views.
        student_batch: the strong views.

    Raises:
        ValueError: they differ in size.
    """
    sizes = [tuple(tensor.shape[-2:]) for tensor in (logits, student_batch['img'])]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f'unsup_teacher and unsup_student are {sizes[0]} and {sizes[1]} pixels high and wide: resize and crop '
            'before MultiBranch, so that both views show the same pixels'
        )
