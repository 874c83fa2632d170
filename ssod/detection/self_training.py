"""Self-training (STAC) of a detector."""

from dataclasses import dataclass

from mmdet.models import DETECTORS

from ssod.core.self_training import SelfTrainingCfg, SelfTrainingModel

from .base import SemiBaseDetector

TWO_STAGE_LOSSES = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox')


@dataclass
class DetectorSelfTrainingCfg(SelfTrainingCfg):
    """As :class:`ssod.core.self_training.SelfTrainingCfg`; the names are those of a two-stage detector by default."""

    loss_names: tuple[str, ...] = TWO_STAGE_LOSSES


@DETECTORS.register_module()
class SelfTraining(SelfTrainingModel, SemiBaseDetector):
    """:class:`ssod.core.SelfTrainingModel` over any detector of MMDetection (STAC, arXiv 2005.04757)."""

    Settings = DetectorSelfTrainingCfg
