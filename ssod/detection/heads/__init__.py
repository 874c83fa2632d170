"""What the methods ask of a detector's heads: one small interface per kind of head."""

from .box_losses import background_logits, background_mask
from .cascade import StageSamples
from .dense import refuse_untrainable
from .features import Features
from .fitness import refuse_unfit
from .roi_stage import RoIOutputs, RoIStage
from .stages import RoIStages

__all__ = [
    'Features',
    'RoIOutputs',
    'RoIStage',
    'RoIStages',
    'StageSamples',
    'background_logits',
    'background_mask',
    'refuse_unfit',
    'refuse_untrainable',
]
