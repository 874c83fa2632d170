"""The settings of the mean teacher."""

from dataclasses import dataclass

from ssod.core import SemiTrainCfg
from ssod.core.settings import check_weight


@dataclass
class MeanTeacherCfg(SemiTrainCfg):
    """``semi_train_cfg`` of the mean teacher.

    Attributes:
        candidate_score_thr: score from which a teacher's detection is a candidate. Detections are those of the
            detector's ``test_cfg``.
        pseudo_filter: which candidates the student learns from; see ``ssod.detection.pseudo_labels``. None: a
            ``ScoreFilter`` with the threshold of the head, for scores of different heads are different things
            (:data:`ssod.detection.heads.dense.SCORE_THR`).
        spread_filter: a second condition, on how far the head's predictions around a candidate disagree about its box:
            ``dict(type='PredictionSpreadFilter')`` for dense heads; None: none.
        ignore_score_thr: candidates with a score above it that no filter keeps are neither objects nor background: the
            student's heads leave them out, as ``ignore_iof_thr`` of their assigners says. None: they are background.
            MMDetection's assigners do so in images that have a pseudo box.
        soft_background: each point of the student that is taken for background counts as much as the teacher believes
            it to be (Soft Teacher's idea, for RetinaNet, FCOS, ATSS and GFL; ours).
        min_pseudo_bbox_size: boxes of at most this width or height, in pixels of either view, are dropped.
        empty_weight: factor of the unlabeled images' losses in a batch of which fewer than half have a pseudo box
            (Consistent-Teacher, Wang et al., CVPR 2023): a dense head takes an image without boxes for pure background.
            1: none, as in MMDetection 3.
    """

    candidate_score_thr: float = 0.05
    pseudo_filter: dict | None = None
    spread_filter: dict | None = None
    ignore_score_thr: float | None = None
    soft_background: bool = False
    min_pseudo_bbox_size: float = 0
    empty_weight: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.candidate_score_thr <= 1:
            raise ValueError(f'semi_train_cfg.candidate_score_thr is in [0, 1], got {self.candidate_score_thr}')
        if self.ignore_score_thr is not None and not self.candidate_score_thr <= self.ignore_score_thr <= 1:
            raise ValueError(
                f'semi_train_cfg.ignore_score_thr={self.ignore_score_thr} is a score of candidates, from '
                f'candidate_score_thr={self.candidate_score_thr} to 1'
            )
        check_weight('semi_train_cfg.empty_weight', self.empty_weight)


# Names of the same settings in MMDetection 3 and in Soft Teacher.
HINTS = {
    'cls_pseudo_thr': "pseudo_filter=dict(type='ScoreFilter', thr=...)",
    'pseudo_label_initial_score_thr': 'candidate_score_thr',
    'min_pseudo_bbox_wh': 'min_pseudo_bbox_size, one number for width and height',
    'background_weight': 'soft_background=True',
    'cls_filter': 'pseudo_filter: boxes and classes learn from the same pseudo boxes',
    'rpn_filter': 'pseudo_filter: all heads learn from the same pseudo boxes',
    'reg_filter': 'pseudo_filter: boxes and classes learn from the same pseudo boxes',
}
