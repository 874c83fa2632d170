from .background import (
    BackgroundSamples,
    PredictionDifference,
    PseudoBoxIoU,
    StudentBackgroundScore,
    TeacherBackgroundScore,
)
from .filters import JitterVarianceFilter, ScoreFilter
from .projection import project_boxes
from .structure import LabeledView, PseudoLabels

__all__ = [
    'BackgroundSamples',
    'JitterVarianceFilter',
    'LabeledView',
    'PredictionDifference',
    'PseudoBoxIoU',
    'PseudoLabels',
    'ScoreFilter',
    'StudentBackgroundScore',
    'TeacherBackgroundScore',
    'project_boxes',
]
