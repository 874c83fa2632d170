"""Self-training (STAC) of a detector."""

from dataclasses import dataclass

from mmdet.models import DETECTORS
from torch import Tensor

from ssod.core import Batch
from ssod.core.self_training import SelfTrainingCfg, SelfTrainingModel

from .base import SemiBaseDetector, refuse_lonely
from .heads.stages import RoIStages
from .pseudo_labels import LabeledView, PseudoLabels


@dataclass
class DetectorSelfTrainingCfg(SelfTrainingCfg):
    """As :class:`ssod.core.self_training.SelfTrainingCfg`.

    Attributes:
        loss_names: None: those of a two-stage detector's RPN and RoI head, masks and stages of a cascade included; a
            detector of one stage is asked.
    """

    loss_names: tuple[str, ...] | None = None


@DETECTORS.register_module()
class SelfTraining(SelfTrainingModel, SemiBaseDetector):
    """:class:`ssod.core.SelfTrainingModel` over any detector of MMDetection (STAC, arXiv 2005.04757)."""

    Settings = DetectorSelfTrainingCfg

    def forward_train(
        self, sup: Batch | None = None, unsup_teacher: Batch | None = None, unsup_student: Batch | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch; see :meth:`ssod.core.SemiModel.forward_train`.

        Raises:
            InputError: a dense head, several processes, and this one lacks labeled or unlabeled images.
        """
        if not hasattr(self.student, 'roi_head'):
            refuse_lonely(sup, unsup_student)
            self.loss_names()  # on all processes at the same time, for it may exchange counts
        return super().forward_train(sup, unsup_teacher, unsup_student)

    def loss_names(self) -> tuple[str, ...]:
        """What ``semi_train_cfg`` says, else what a two-stage detector gives, or what one of one stage says."""
        if self.semi_train_cfg.loss_names is not None:
            return tuple(self.semi_train_cfg.loss_names)
        if not hasattr(self.student, 'roi_head'):
            return self.student_loss_names()
        return ('loss_rpn_cls', 'loss_rpn_bbox', *RoIStages(self.student).loss_names())

    def project_pseudo_labels(self, found: None, student_batch: Batch) -> list[PseudoLabels]:
        """The pseudo boxes that came with the images and moved with the strong view, one entry per image."""
        pairs = zip(student_batch['gt_bboxes'], student_batch['gt_labels'], strict=True)
        return [PseudoLabels(bboxes, labels, bboxes.new_ones(len(bboxes))) for bboxes, labels in pairs]

    def figures(self, labels: list[PseudoLabels]) -> dict[str, Tensor]:
        """Mean number of pseudo boxes per image."""
        count = self.zero_figures()['num_pseudo_cls']
        return dict(num_pseudo_cls=count + sum(map(len, labels)) / len(labels))

    def zero_figures(self) -> dict[str, Tensor]:
        """The count when there is no unlabeled image."""
        return dict(num_pseudo_cls=next(self.student.parameters()).new_zeros(()))

    def pseudo_label_views(self, unsup_teacher: None, unsup_student: Batch) -> list[LabeledView]:
        """The strong view with the boxes, and masks, of the file."""
        strong = self.preprocess(unsup_student)
        meta, labels = strong['img_metas'][0], self.project_pseudo_labels(None, strong)[0]
        masks = None
        if 'gt_masks' in strong:
            height, width = meta['img_shape'][:2]
            masks = strong['gt_masks'][0].to_ndarray()[:, :height, :width]
        return [LabeledView(strong['img'][0], meta, labels, masks)]

    def why_no_pseudo_boxes(self, max_score: float) -> str:
        """Where the boxes come from."""
        return (
            'the strong views hold no box of the pseudo-label file: look at its scores and at score_thr of the data set'
        )
