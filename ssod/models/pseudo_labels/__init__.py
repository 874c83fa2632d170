from .background import (
    BackgroundSamples,
    PredictionDifference,
    PseudoBoxIoU,
    StudentBackgroundScore,
    TeacherBackgroundScore,
)
from .filters import JitterVarianceFilter, ScoreFilter, check_choice
from .projection import project_boxes, view_to_view
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
    'check_choice',
    'project_boxes',
    'view_to_view',
]
