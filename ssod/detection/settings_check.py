"""Settings of Soft Teacher that its detector, or another setting, leaves without effect."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from mmdet.models import CrossEntropyLoss

from .heads import RoIStages
from .settings import SoftTeacherCfg


def check_settings(cfg: SoftTeacherCfg, stages: RoIStages, filters: Iterable[Any]) -> None:
    """Refuse what would do nothing, or could not be done.

    Args:
        cfg: the settings.
        stages: of the student's RoI head.
        filters: those built from the settings.

    Raises:
        TypeError: a loss that soft targets do not suit.
        ValueError: a setting that does not fit the others, or the number of stages.
    """
    losses = [stage.bbox_head.loss_cls for stage in stages]
    unfit = [loss for loss in losses if not isinstance(loss, CrossEntropyLoss) or loss.use_sigmoid]
    if cfg.cls_targets == 'soft' and unfit:
        needed = "SoftTeacher: cls_targets='soft' needs a softmax cross entropy"
        raise TypeError(f'{needed}, the box head has a {type(unfit[0]).__name__}')
    for keep in filters:
        refuse_unseeing(keep, cfg.candidate_score_thr)
    measuring = [f for f in filters if hasattr(f, 'variance')]
    if len(measuring) > 1:
        raise ValueError('SoftTeacher: one filter at most may measure the regression variance')
    if cfg.pseudo_bbox == 'jitter_mean' and not any(hasattr(f, 'refine_jittered') for f in measuring):
        raise ValueError("SoftTeacher: pseudo_bbox='jitter_mean' needs a JitterVarianceFilter, which jitters")
    if cfg.background_mode == 'mean' and len(stages) == 1:
        raise ValueError("semi_train_cfg.background_mode='mean' is for cascades: leave it out")
    if not stages.has_masks:
        refuse_mask_settings(cfg)
    for jitter in measuring:
        which = getattr(jitter, 'stages', 'all')
        if which != 'all' and not (len(stages) > 1 and which in range(len(stages))):
            raise ValueError(
                f"{type(jitter).__name__}: stages is 'all' or the number of one of several stages, from 0; "
                f'the detector has {len(stages)}, got {which!r}'
            )


def refuse_mask_settings(cfg: SoftTeacherCfg) -> None:
    """Raise a ValueError for a setting of masks that is not at its default."""
    for setting in fields(cfg):
        if setting.name.startswith('mask_') and getattr(cfg, setting.name) != setting.default:
            raise ValueError(f'semi_train_cfg.{setting.name} is for masks; the detector has no mask head: leave it out')


def refuse_unseeing(keep: Any, candidate_score_thr: float) -> None:
    """Raise a ValueError for a filter that would never see what it asks for."""
    if hasattr(keep, 'spread'):
        raise ValueError(
            f"SoftTeacher: {type(keep).__name__} reads a dense head's predictions, use JitterVarianceFilter"
        )
    if getattr(keep, 'floor', 1) < candidate_score_thr:
        raise ValueError(
            f'SoftTeacher: {type(keep).__name__}(floor={keep.floor}) never sees a score under '
            f'candidate_score_thr={candidate_score_thr}: lower that'
        )
