from .detectors import SelfTraining, SemiBaseDetector, SoftTeacher
from .pseudo_labels import (
    JitterVarianceFilter,
    PredictionDifference,
    PseudoBoxIoU,
    PseudoLabels,
    ScoreFilter,
    StudentBackgroundScore,
    TeacherBackgroundScore,
)

__all__ = [
    'JitterVarianceFilter',
    'PredictionDifference',
    'PseudoBoxIoU',
    'PseudoLabels',
    'ScoreFilter',
    'SelfTraining',
    'SemiBaseDetector',
    'SoftTeacher',
    'StudentBackgroundScore',
    'TeacherBackgroundScore',
]
