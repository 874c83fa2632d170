"""The settings of Soft Teacher."""

from dataclasses import dataclass, field

from ssod.core import SemiTrainCfg, check_choice, check_share
from ssod.core.settings import check_weight


@dataclass
class SoftTeacherCfg(SemiTrainCfg):
    """``semi_train_cfg`` of Soft Teacher.

    Attributes:
        candidate_score_thr: class score from which a teacher's detection is a candidate.
        min_pseudo_bbox_size: candidates and RPN pseudo boxes of at most this width or height, in pixels, are dropped.
        rpn_filter, cls_filter, reg_filter: which candidates each branch learns from; see
            ``ssod.detection.pseudo_labels``. ``reg_filter=None``: regression learns from the classification branch's
            pseudo boxes.
        background_weight: the weight of background samples; None weighs each with 1.
        background_mode: which of the teacher's stages give the background score (or the soft targets) of a stage of a
            cascade: 'stage', the same, or 'mean', all of them, one after another, their logits averaged.
        cls_targets: what the student's RoI classification learns on unlabeled images: 'hard', the class of the pseudo
            box that a RoI is assigned to, or background (the authors' code); 'soft', the teacher's probabilities of all
            classes for the very RoI, every RoI with the same weight (the idea of Humble Teacher, Tang et al., CVPR
            2021). A teacher of few labels is too sure of its boxes: soft targets do not make it surer.
        pseudo_bbox: the box of a candidate: 'detected', the teacher's detection (the authors' code), or 'jitter_mean',
            the mean of the jittered and refined copies that measure its variance, at no cost.
        cls_avg_factor: what the classification loss is divided by: 'weights', foreground and background together by
            the sum of all weights (the authors' code), or 'separate', foreground by its number and background by the
            sum of its weights (equation 3 as printed).
        reg_avg_factor: what the box loss is divided by: 'samples', the number of sampled RoIs (the authors' code), or
            'positives', that of foreground RoIs (equation 5 as printed).
        mask_filter: which candidates masks learn from, as the filters above; None: the regression branch's pseudo boxes
            (the authors' code). With few labels hardly any box passes the variance: then
            ``dict(type='ScoreFilter', thr=0.7)``.
        mask_target: what a pixel of a mask learns: 'hard', whether the teacher's probability is at least 0.5 (the
            authors' code), or 'soft', the probability.
        mask_ignore: two probabilities, (0.3, 0.7) say: pixels between them are left out of hard targets; None: none is.
        mask_weight: a further weight of the mask loss.
        mask_score_power: each mask's loss is multiplied by its score, the mean probability of its pixels, to this
            power.
    """

    candidate_score_thr: float = 0.5
    min_pseudo_bbox_size: float = 0
    rpn_filter: dict = field(default_factory=lambda: dict(type='ScoreFilter'))
    cls_filter: dict = field(default_factory=lambda: dict(type='ScoreFilter'))
    reg_filter: dict | None = field(default_factory=lambda: dict(type='JitterVarianceFilter'))
    background_weight: dict | None = field(default_factory=lambda: dict(type='TeacherBackgroundScore'))
    background_mode: str = 'stage'
    cls_targets: str = 'hard'
    pseudo_bbox: str = 'detected'
    cls_avg_factor: str = 'weights'
    reg_avg_factor: str = 'samples'
    mask_filter: dict | None = None
    mask_target: str = 'hard'
    mask_ignore: tuple[float, float] | None = None
    mask_weight: float = 1.0
    mask_score_power: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share('semi_train_cfg.candidate_score_thr', self.candidate_score_thr)
        check_choice('semi_train_cfg.background_mode', self.background_mode, ('stage', 'mean'))
        if self.background_mode != 'stage' and not self.background_weight and self.cls_targets == 'hard':
            raise ValueError("semi_train_cfg.background_mode='mean' needs a background_weight: leave it out")
        check_choice('semi_train_cfg.cls_targets', self.cls_targets, ('hard', 'soft'))
        if self.cls_targets == 'soft' and (self.background_weight or self.cls_avg_factor != 'weights'):
            raise ValueError(
                "semi_train_cfg.cls_targets='soft' weighs every RoI alike: set background_weight=None, and leave "
                'cls_avg_factor out'
            )
        check_choice('semi_train_cfg.pseudo_bbox', self.pseudo_bbox, ('detected', 'jitter_mean'))
        check_choice('semi_train_cfg.cls_avg_factor', self.cls_avg_factor, ('weights', 'separate'))
        check_choice('semi_train_cfg.reg_avg_factor', self.reg_avg_factor, ('samples', 'positives'))
        check_choice('semi_train_cfg.mask_target', self.mask_target, ('hard', 'soft'))
        check_weight('semi_train_cfg.mask_weight', self.mask_weight)
        check_weight('semi_train_cfg.mask_score_power', self.mask_score_power)
        self._check_mask_ignore()

    def _check_mask_ignore(self) -> None:
        if self.mask_ignore is None:
            return
        self.mask_ignore = tuple(self.mask_ignore)
        if len(self.mask_ignore) != 2 or not 0 <= self.mask_ignore[0] < 0.5 <= self.mask_ignore[1] <= 1:
            raise ValueError(
                'semi_train_cfg.mask_ignore is two probabilities, one under 0.5 and one above, as (0.3, 0.7), '
                f'got {self.mask_ignore}'
            )
        if self.mask_target == 'soft':
            raise ValueError("semi_train_cfg.mask_ignore is for mask_target='hard': leave one of them out")


# Names of the same settings in MMDetection 3 and in the authors' code.
HINTS = {
    'pseudo_label_initial_score_thr': 'candidate_score_thr',
    'rpn_pseudo_thr': "rpn_filter=dict(type='ScoreFilter', thr=...)",
    'rpn_pseudo_threshold': "rpn_filter=dict(type='ScoreFilter', thr=...)",
    'cls_pseudo_thr': "cls_filter=dict(type='ScoreFilter', thr=...)",
    'cls_pseudo_threshold': "cls_filter=dict(type='ScoreFilter', thr=...)",
    'reg_pseudo_thr': "reg_filter=dict(type='JitterVarianceFilter', thr=...)",
    'reg_pseudo_threshold': "reg_filter=dict(type='JitterVarianceFilter', thr=...)",
    'jitter_times': "reg_filter=dict(type='JitterVarianceFilter', num_jitters=...)",
    'jitter_scale': "reg_filter=dict(type='JitterVarianceFilter', jitter_scale=...)",
    'min_pseudo_bbox_wh': 'min_pseudo_bbox_size, one number for width and height',
    'min_pseudo_box_size': 'min_pseudo_bbox_size',
    'use_teacher_proposal': "nothing: the student's own proposals are used",
}
