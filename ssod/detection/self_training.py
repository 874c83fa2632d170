"""Self-training (STAC) of a detector."""

from mmdet.models import DETECTORS
from torch import Tensor

from ssod.core import Batch
from ssod.core.self_training import SelfTrainingModel

from .base import SemiBaseDetector, refuse_lonely
from .pseudo_labels import LabeledView, PseudoLabels


@DETECTORS.register_module()
class SelfTraining(SelfTrainingModel, SemiBaseDetector):
    """:class:`ssod.core.SelfTrainingModel` over any detector of MMDetection (STAC, arXiv 2005.04757).

    Without ``semi_train_cfg.loss_names`` the student is asked for them.
    """

    def forward_train(
        self, sup: Batch | None = None, unsup_teacher: Batch | None = None, unsup_student: Batch | None = None
    ) -> dict[str, Tensor]:
        """Losses of one batch; see :meth:`ssod.core.SemiModel.forward_train`.

        Raises:
            InputError: a dense head, several processes, and this one lacks labeled or unlabeled images.
        """
        if getattr(self.student, 'bbox_head', None) is not None:
            refuse_lonely(sup, unsup_student)
        self.loss_names()  # on all processes at the same time, for it may exchange counts
        return super().forward_train(sup, unsup_teacher, unsup_student)

    def loss_names(self) -> tuple[str, ...]:
        """What ``semi_train_cfg`` says, else the student's own."""
        return super().loss_names() or self.student_loss_names()

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
        """The strong view with the boxes of the file."""
        strong = self.preprocess(unsup_student)
        return [LabeledView(strong['img'][0], strong['img_metas'][0], self.project_pseudo_labels(None, strong)[0])]

    def why_no_pseudo_boxes(self, max_score: float) -> str:
        """Where the boxes come from."""
        return (
            'the strong views hold no box of the pseudo-label file: look at its scores and at score_thr of the data set'
        )
