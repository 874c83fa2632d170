"""What the methods ask of a detector's heads: one small interface per kind of head."""

from .dense import refuse_untrainable
from .fitness import refuse_unfit
from .roi_stage import RoIOutputs, RoIStage, background_logits, background_mask, image_feats

__all__ = [
    'RoIOutputs',
    'RoIStage',
    'background_logits',
    'background_mask',
    'image_feats',
    'refuse_unfit',
    'refuse_untrainable',
]
