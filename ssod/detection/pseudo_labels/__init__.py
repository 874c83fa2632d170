from .background import (
    BackgroundSamples,
    PredictionDifference,
    PseudoBoxIoU,
    StudentBackgroundScore,
    TeacherBackgroundScore,
)
from .filters import JitterVarianceFilter, ScoreFilter
from .projection import project_boxes
from .structure import PseudoLabels

__all__ = [
    'BackgroundSamples',
    'JitterVarianceFilter',
    'PredictionDifference',
    'PseudoBoxIoU',
    'PseudoLabels',
    'ScoreFilter',
    'StudentBackgroundScore',
    'TeacherBackgroundScore',
    'project_boxes',
]
